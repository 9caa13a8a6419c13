// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"fmt"
	"time"

	"github.com/countersign/countersign/client"
	"github.com/countersign/countersign/internal/handover"
	"github.com/countersign/countersign/internal/otp"
)

const (
	bulkLines     = 20_000
	benchCouriers = 500 // on the road at once
)

// measureHandovers measures parcels that change hands: made, sent out, at the door, accepted by their code. Recipients have phones, so an acceptance sends nothing.
func measureHandovers(s *server, db, engine string, long time.Duration, bare map[int]float64) error {
	day := time.Now().UTC().Truncate(24 * time.Hour)
	window := fmt.Sprintf(`{"from":%q,"until":%q,"time_zone":"UTC"}`, day.Format(time.RFC3339), day.Add(24*time.Hour).Format(time.RFC3339))
	line := func(order string, i int64) string {
		return fmt.Sprintf(`{"order":"%s %d","recipient":{"name":"Maria Bell","contacts":["+491511%07d"]},"window":%s,"items":"a box of books","address_hint":"2nd floor"}`, order, i, i, window)
	}
	for _, conns := range []int{16, 64} {
		ids := &pile{}
		_, err := s.measured(db, engine+" create", conns, long, func(i int64) request {
			return request{path: "/v1/handovers", body: line(fmt.Sprint(conns), i)}
		}, ids.add, bare[conns])
		if err != nil {
			return err
		}
		list := ids.take()
		for _, step := range []struct {
			name string
			long time.Duration
			next func(id, courier string) request
		}{
			{"send out", time.Hour, func(id, courier string) request {
				return request{path: "/v1/handovers/" + id + "/out_for_delivery", body: `{"courier":"` + courier + `"}`, want: `"out_for_delivery"`}
			}},
			{"arrive", time.Hour, func(id, courier string) request {
				return request{path: "/v1/handovers/" + id + "/acts", body: `{"courier":"` + courier + `","key":"a","do":"arrive","position":{"lat":45.764,"lon":4.835}}`, want: `"done"`}
			}},
			{"accept", long, func(id, courier string) request {
				return request{path: "/v1/handovers/" + id + "/acts", body: `{"courier":"` + courier + `","key":"c","do":"code","code":"D-` + s.say(id) + `"}`, want: `"handed_over"`}
			}},
		} {
			_, err := s.measured(db, engine+" "+step.name, conns, step.long, func(i int64) request {
				if int(i) > len(list) {
					return request{}
				}
				return step.next(list[i-1], fmt.Sprintf("courier %d", i%benchCouriers))
			}, nil, bare[conns])
			if err != nil {
				return err
			}
		}
	}
	var body bytes.Buffer
	for i := range int64(bulkLines) {
		body.WriteString(line("bulk", i) + "\n")
	}
	return s.bulk(db, engine, &body)
}

// bulk measures one request with many lines.
func (s *server) bulk(db, engine string, body *bytes.Buffer) error {
	stop, err := watch(db)
	if err != nil {
		return err
	}
	before, err := cpuOf(s.cmd.Process.Pid)
	if err != nil {
		return err
	}
	began := time.Now()
	got, err := client.New("http://"+s.addr, s.key).Bulk(context.Background(), body)
	if err != nil {
		return err
	}
	if got.Created != bulkLines {
		return fmt.Errorf("%d of %d lines were made, %d failed", got.Created, bulkLines, got.Failed)
	}
	l := line{name: engine + " bulk lines", n: bulkLines, took: time.Since(began)}
	after, err := cpuOf(s.cmd.Process.Pid)
	if err != nil {
		return err
	}
	l.cpu = after - before
	l.db, l.statements = stop(l.n)
	l.print(0, 1)
	return nil
}

// sayer makes the delivery codes of first attempts as the server does.
func sayer(svc uint32, d *otp.Deriver) func(id string) string {
	return func(text string) string {
		id, err := handover.ParseID(text)
		if err != nil {
			return ""
		}
		return d.Code(otp.Input{Space: otp.SpaceDelivery, Service: svc, ID: id, Generation: 1, Digits: int(id[9] & 0x0f)}).Reveal()
	}
}
