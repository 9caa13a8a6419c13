// SPDX-License-Identifier: Apache-2.0

package devpage

import (
	"encoding/base64"
	"fmt"
	"html/template"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"rsc.io/qr"

	"github.com/countersign/countersign/internal/contact"
	"github.com/countersign/countersign/internal/fault"
	"github.com/countersign/countersign/internal/handover"
	"github.com/countersign/countersign/internal/ledger"
	"github.com/countersign/countersign/internal/service"
)

// Where the parcels of `dev` come from, and who carries them.
const (
	demoDepot   = "Demo depot"
	demoCourier = "Kim"
	maxParcels  = 50
)

// parcels is what this process remembers of what was made on its page.
type parcels struct {
	mu    sync.Mutex
	order int
	ids   []ledger.ID // the oldest first
	link  string      // of the courier's round, until a phone has used it
}

// parcel is one of them as the page shows it.
type parcel struct {
	*handover.View
	Text     string // its id
	Tracking string
	Leaves   bool // it can go out
	Out      bool // the depot can release it
}

// parcelPage is what the page shows beside what every page has.
type parcelPage struct {
	Parcels []parcel
	Link    string // the courier's
	Picture template.URL
	Day     *handover.DepotDay
	Phone   string // typed, kept
	Name    string
	Items   string
}

func (p *Pages) showParcels(w http.ResponseWriter, r *http.Request, status int, data *page) error {
	svc, err := p.service()
	if err != nil {
		return err
	}
	if data.Parcels == nil {
		data.Parcels = &parcelPage{Phone: "+1 415 555 0121", Name: "Maria Bell", Items: "a box of books"}
	}
	d := data.Parcels
	p.made.mu.Lock()
	ids, link := append([]ledger.ID(nil), p.made.ids...), p.made.link
	p.made.mu.Unlock()
	for i := len(ids) - 1; i >= 0; i-- {
		v, err := p.Handovers.Get(r.Context(), svc, ids[i])
		if err != nil {
			return err
		}
		d.Parcels = append(d.Parcels, parcel{
			View: v, Text: handover.FormatID(v.ID), Tracking: "/t/" + handover.TrackToken(svc, v.ID), Leaves: v.State == handover.Created || v.State == handover.Attempted,
			Out: v.State == handover.Out || v.State == handover.Arrived,
		})
	}
	if d.Day, err = p.Handovers.Depot(r.Context(), svc, demoDepot, "", "UTC"); err != nil {
		return err
	}
	if link != "" {
		code, err := qr.Encode(link, qr.M)
		if err != nil {
			return fault.As(fmt.Errorf("draw a QR code: %w", err))
		}
		d.Link, d.Picture = link, template.URL("data:image/png;base64,"+base64.StdEncoding.EncodeToString(code.PNG())) //nolint:gosec // a picture that we have drawn
	}
	return p.show(w, status, "parcels.html", data)
}

func (p *Pages) parcels(w http.ResponseWriter, r *http.Request) error {
	return p.showParcels(w, r, http.StatusOK, &page{Title: "Send a parcel"})
}

// makeParcel makes a hand-over whose window is now.
func (p *Pages) makeParcel(w http.ResponseWriter, r *http.Request) error {
	svc, err := p.service()
	if err != nil {
		return err
	}
	d := &parcelPage{Phone: r.PostFormValue("phone"), Name: r.PostFormValue("name"), Items: r.PostFormValue("items")}
	to, err := contact.Parse(d.Phone, "")
	if err == nil {
		err = p.makes(r, svc, d, to)
	}
	if err != nil {
		if f := fault.As(err); f.Kind != fault.Internal && f.Kind != fault.Unavailable {
			return p.showParcels(w, r, http.StatusUnprocessableEntity, &page{Title: "Error: Send a parcel", Problem: f.Message, Parcels: d})
		}
		return err
	}
	http.Redirect(w, r, "/parcels", http.StatusSeeOther)
	return nil
}

func (p *Pages) makes(r *http.Request, svc *service.Service, d *parcelPage, to contact.Contact) error {
	p.made.mu.Lock()
	defer p.made.mu.Unlock()
	if len(p.made.ids) >= maxParcels {
		return fault.New(fault.Conflict, "too_many_parcels", "There are "+strconv.Itoa(maxParcels)+" parcels here. Start `dev` anew for more.")
	}
	now := p.Now()
	p.made.order++
	v, _, err := p.Handovers.Create(r.Context(), svc, handover.NewHandover{
		Order: fmt.Sprintf("demo-%d-%d", now.Unix(), p.made.order), Recipient: handover.Recipient{Name: d.Name, Contacts: []contact.Contact{to}}, Items: d.Items, Hint: "2nd floor, blue door",
		Window: handover.Window{From: now.Format(time.RFC3339), Until: now.Add(3 * time.Hour).Format(time.RFC3339), Zone: "UTC"}, Depot: demoDepot,
	})
	if err != nil {
		return err
	}
	p.made.ids = append(p.made.ids, v.ID)
	return nil
}

// sendParcels opens the courier's round with everything that can go out.
func (p *Pages) sendParcels(w http.ResponseWriter, r *http.Request) error {
	svc, err := p.service()
	if err != nil {
		return err
	}
	p.made.mu.Lock()
	defer p.made.mu.Unlock()
	_, token, _, err := p.Handovers.OpenRound(r.Context(), svc, handover.NewRound{Depot: demoDepot, Courier: demoCourier, Zone: "UTC", Parcels: p.made.ids, By: "dev"})
	if err != nil {
		return err
	}
	p.made.link = p.Handovers.Origin(svc) + "/courier#" + token.Reveal() // to the developer, who plays the courier
	http.Redirect(w, r, "/parcels", http.StatusSeeOther)
	return nil
}

// depotDoes is what the depot of `dev` does about one parcel.
func (p *Pages) depotDoes(w http.ResponseWriter, r *http.Request) error {
	svc, err := p.service()
	if err != nil {
		return err
	}
	id, err := handover.ParseID(r.PathValue("id"))
	if err == nil {
		switch strings.TrimSpace(r.PostFormValue("do")) {
		case "release":
			_, err = p.Handovers.Release(r.Context(), svc, id, "dev", "played by the developer")
		case "settle":
			_, err = p.Handovers.SettleConflicts(r.Context(), svc, id, "dev")
		default:
			_, err = p.Handovers.EndAttempt(r.Context(), svc, id, "dev")
		}
	}
	if err != nil {
		if f := fault.As(err); f.Kind != fault.Internal && f.Kind != fault.Unavailable {
			return p.showParcels(w, r, http.StatusUnprocessableEntity, &page{Title: "Error: Send a parcel", Problem: f.Message})
		}
		return err
	}
	http.Redirect(w, r, "/parcels", http.StatusSeeOther)
	return nil
}
