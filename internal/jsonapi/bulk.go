// SPDX-License-Identifier: Apache-2.0

package jsonapi

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strconv"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/countersign/countersign/internal/fault"
	"github.com/countersign/countersign/internal/handover"
	"github.com/countersign/countersign/internal/httpx"
)

// Limits of a bulk.
const (
	maxBulkLines = 50_000
	maxBulkLine  = 8 << 10          // bytes
	bulkTogether = 64               // lines that are worked off at once
	maxBulks     = 4                // of a node at once: each keeps its answer, some megabytes, in memory
	bulkPause    = 30 * time.Second // between two lines, at most
	maxBulkTime  = 20 * time.Minute

	bulkAnswerTime = 5 * time.Minute

	jsonLinesType = "application/jsonl"
)

var (
	errBulkType = fault.New(fault.Unsupported, "not_json_lines", "Send one JSON object a line, with the header Content-Type: application/jsonl.").WithField("Content-Type")
	errBulkBusy = fault.New(fault.Unavailable, "bulks_busy", fmt.Sprintf("This server takes %d bulks at a time. Send yours again in a moment.", maxBulks)).WithRetry(5 * time.Second)
	errBulkEnd  = fault.New(fault.Invalid, "body_incomplete", "The lines ended before they were whole, or came too slowly. What came is made; send all of it again.")
	errTooLong  = fault.New(fault.TooLarge, "line_too_long", fmt.Sprintf("A line has at most %d bytes.", maxBulkLine))
	errTooMany  = fault.New(fault.TooLarge, "too_many_lines", fmt.Sprintf("A bulk has at most %d lines. This one and those after it were not looked at: send them apart.", maxBulkLines))
)

// bulk makes hand-overs of a stream of lines, while it comes. The answer is written when the last line is done, so that clients that read nothing
// before they have sent everything are served, too. What is sent again is there already, so the whole can be sent again.
func (a *API) bulk(c *call) error {
	switch kind, _, err := mime.ParseMediaType(c.Request.Header.Get("Content-Type")); {
	case err != nil, kind != jsonLinesType && kind != "application/x-ndjson":
		return errBulkType
	}
	defer a.bulks.Add(-1)
	if a.bulks.Add(1) > maxBulks {
		return errBulkBusy
	}
	ctx, cancel := context.WithTimeout(c.context(), maxBulkTime)
	defer cancel()
	slots := make(chan chan BulkLine, bulkTogether)
	answer := make(chan bulkAnswer, 1)
	go func() { answer <- collect(slots) }()
	err := a.readBulk(ctx, c, slots)
	close(slots)
	out := <-answer
	if err = errors.Join(err, out.err); err != nil {
		return err
	}
	c.Linger(bulkAnswerTime)
	h := c.Header()
	h.Set("Content-Type", jsonLinesType)
	h.Set("Content-Length", strconv.Itoa(out.text.Len()))
	c.WriteHeader(http.StatusOK)
	_, _ = c.Write(out.text.Bytes()) // the client may have left
	return nil
}

// bulkAnswer is the whole answer.
type bulkAnswer struct {
	text bytes.Buffer
	sums BulkSums
	err  error
}

// collect takes the answers to the lines, in the lines' order.
func collect(slots <-chan chan BulkLine) (out bulkAnswer) {
	for slot := range slots {
		line := <-slot
		out.sums.count(&line)
		out.append(&line)
	}
	out.append(&out.sums)
	return out
}

func (b *bulkAnswer) append(v any) {
	if b.err == nil {
		b.err = json.MarshalWrite(&b.text, v)
		b.text.WriteByte('\n')
	}
}

func (s *BulkSums) count(l *BulkLine) {
	switch {
	case l.Problem != nil:
		s.Failed++
	case l.Again:
		s.Again++
	default:
		s.Created++
	}
}

// readBulk reads lines and has each worked off; the answers come in the lines' order. Empty lines are counted and have no answer.
func (a *API) readBulk(ctx context.Context, c *call, slots chan<- chan BulkLine) error {
	lines := bufio.NewReaderSize(c.Request.Body, maxBulkLine+1)
	for n := 1; ; n++ {
		c.Linger(bulkPause)
		text, err := nextLine(lines)
		var line func() BulkLine
		switch text := bytes.TrimSpace(text); {
		case errors.Is(err, io.EOF) && len(text) == 0:
			return nil
		case err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, errTooLong):
			return errBulkEnd.WithCause(err)
		case n > maxBulkLines:
			line = func() BulkLine {
				return BulkLine{Line: n, Problem: &LineProblem{Code: errTooMany.Code, Detail: errTooMany.Message}}
			}
		case err == nil && len(text) == 0:
			continue
		case errors.Is(err, errTooLong):
			line = func() BulkLine {
				return BulkLine{Line: n, Problem: &LineProblem{Code: errTooLong.Code, Detail: errTooLong.Message}}
			}
		default:
			text = bytes.Clone(text)
			line = func() BulkLine { return a.bulkLine(ctx, c, n, text) }
		}
		slot := make(chan BulkLine, 1)
		select {
		case slots <- slot: // waits while so many are worked off
		case <-ctx.Done():
			return fault.As(ctx.Err())
		}
		go func() { slot <- line() }()
		if n > maxBulkLines { // read on, so that a client that is still sending hears the answer
			_, _ = io.CopyN(io.Discard, c.Request.Body, maxBulkLines*maxBulkLine)
			return nil
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
	}
}

// nextLine reads up to the next newline, which is not part of it. Of a line that is too long nothing is kept.
func nextLine(r *bufio.Reader) ([]byte, error) {
	text, err := r.ReadSlice('\n')
	if !errors.Is(err, bufio.ErrBufferFull) {
		return text, err
	}
	for errors.Is(err, bufio.ErrBufferFull) {
		_, err = r.ReadSlice('\n')
	}
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	return nil, errTooLong
}

// bulkLine makes the hand-over of one line. What panics fails this line alone.
func (a *API) bulkLine(ctx context.Context, c *call, n int, text []byte) (out BulkLine) {
	out.Line = n
	fail := func(err error) BulkLine {
		p := lineProblem(err)
		out.Problem = &p
		return out
	}
	defer func() {
		if p := recover(); p != nil {
			out = fail(fmt.Errorf("panic of type %T", p))
		}
	}()
	var in HandoverBody
	if err := httpx.Decode(text, &in); err != nil {
		return fail(err)
	}
	if len(in.Order) <= 4*handover.MaxOrder {
		out.Order = in.Order
	}
	made, err := a.newHandover(&in)
	if err != nil {
		return fail(err)
	}
	v, again, err := a.Handovers.Create(ctx, c.svc, made)
	if err != nil {
		return fail(err)
	}
	out.ID, out.Again = handover.FormatID(v.ID), again
	return out
}
