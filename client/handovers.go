// SPDX-License-Identifier: Apache-2.0

package client

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"iter"
	"net/http"
	"net/url"
	"time"
)

// NewHandover makes a hand-over: a parcel that changes hands against a code. Order, a contact and the window are needed.
type NewHandover struct {
	Order         string    `json:"order"`            // your own reference; with Parcel, unique
	Parcel        int       `json:"parcel,omitempty"` // of the order's parcels, which; 0: 1
	Recipient     Recipient `json:"recipient"`
	DefaultRegion string    `json:"default_region,omitempty"` // of numbers without a country
	Window        Window    `json:"window"`
	Items         string    `json:"items,omitempty"`
	AddressHint   string    `json:"address_hint,omitempty"` // for the courier
	Depot         string    `json:"depot,omitempty"`
	Weak          *[]string `json:"weak,omitempty"` // what may stand in for the code; nil: what the service allows
	NoPass        bool      `json:"no_pass,omitempty"`
	Attempts      int       `json:"attempts,omitempty"` // 0: the service's
	Quiet         bool      `json:"quiet,omitempty"`    // you send the tracking link yourself
}

// Recipient is who is to get a parcel. What the server shows of them is the first name, the initials and masked contacts.
type Recipient struct {
	Name     string   `json:"name,omitempty"`
	Initials string   `json:"initials,omitempty"` // only from the server
	Contacts []string `json:"contacts"`           // messages go to the first
	Locale   string   `json:"locale,omitempty"`
}

// Window is a delivery window: 2026-11-26T14:00 by the clock at the door, or times as in RFC 3339.
type Window struct {
	From     string `json:"from"`
	Until    string `json:"until"`
	TimeZone string `json:"time_zone"`
}

// Handover is a hand-over. It never holds a code.
type Handover struct {
	ID          string    `json:"id"`
	Order       string    `json:"order"`
	Parcel      int       `json:"parcel"`
	State       string    `json:"state"` // created, out_for_delivery, arrived, handed_over, attempted, refused, returned, expired or canceled
	Recipient   Recipient `json:"recipient"`
	Items       string    `json:"items"`
	AddressHint string    `json:"address_hint"`
	Depot       string    `json:"depot"`
	Window      struct {
		From      time.Time `json:"from"`
		Until     time.Time `json:"until"`
		TimeZone  string    `json:"time_zone"`
		GoodUntil time.Time `json:"good_until"` // the end of the delivery day, and of the code
	} `json:"window"`
	Attempt    int       `json:"attempt"`
	Attempts   int       `json:"attempts"`
	Code       int       `json:"code_generation"`
	Courier    string    `json:"courier"` // opaque
	ArrivedAt  time.Time `json:"arrived_at"`
	StoppedAt  time.Time `json:"stopped_at"`
	TriesLeft  int       `json:"tries_left"`
	Blocked    bool      `json:"blocked"`
	Spent      bool      `json:"spent"`
	Neighbour  bool      `json:"neighbour"`
	Weak       []string  `json:"weak"`
	Means      string    `json:"means"`     // by which it changed hands
	Certainty  string    `json:"certainty"` // confirmed, confirmed_offline, settled_later or weaker
	HandedAt   time.Time `json:"handed_over_at"`
	CreatedAt  time.Time `json:"created_at"`
	EndedAt    time.Time `json:"ended_at"`
	SendsLeft  int       `json:"sends_left"`
	NextSendAt time.Time `json:"next_send_at"`
	Exceptions []string  `json:"exceptions"` // why somebody at the depot should look
	Steps      []struct {
		State   string    `json:"state"`
		At      time.Time `json:"at"`
		Attempt int       `json:"attempt"`
		Reason  string    `json:"reason"`
	} `json:"steps"`
	Messages []struct {
		Kind    string `json:"kind"`
		Channel string `json:"channel"`
		To      string `json:"to"`
		Status  string `json:"status"`
	} `json:"messages"`
	Notes     []Note `json:"notes"`
	Conflicts []struct {
		At        time.Time `json:"at"`
		SaidAt    time.Time `json:"said_at"`
		Result    string    `json:"result"`
		SettledAt time.Time `json:"settled_at"`
	} `json:"conflicts"`
	Days     []string `json:"days"`     // only from Handover: that the recipient can choose instead
	Channels []string `json:"channels"` // likewise: by which the code can be sent again
	Tracking string   `json:"tracking"` // link to the recipient's page
	Again    bool     `json:"again"`    // only from CreateHandover: it was there already
}

// CreateHandover makes a hand-over. The same order and parcel again, made of the same, is the same hand-over.
func (c *Client) CreateHandover(ctx context.Context, n NewHandover) (*Handover, error) {
	return call[Handover](ctx, c, http.MethodPost, "/v1/handovers", n, "")
}

// Handover tells where a hand-over stands.
func (c *Client) Handover(ctx context.Context, id string) (*Handover, error) {
	return call[Handover](ctx, c, http.MethodGet, handoverPath(id, ""), nil, "")
}

// FindHandovers gives the hand-overs of an order, by its exact reference.
func (c *Client) FindHandovers(ctx context.Context, order string) ([]Handover, error) {
	found, err := call[struct {
		Handovers []Handover `json:"handovers"`
	}](ctx, c, http.MethodGet, "/v1/handovers?order="+url.QueryEscape(order), nil, "")
	if err != nil {
		return nil, err
	}
	return found.Handovers, nil
}

// HandoverChange changes what isn't nil.
type HandoverChange struct {
	Recipient     *Recipient `json:"recipient,omitempty"`
	DefaultRegion string     `json:"default_region,omitempty"`
	Window        *Window    `json:"window,omitempty"`
	Items         *string    `json:"items,omitempty"`
	AddressHint   *string    `json:"address_hint,omitempty"`
}

// ChangeHandover changes a hand-over that isn't over.
func (c *Client) ChangeHandover(ctx context.Context, id string, change HandoverChange) (*Handover, error) {
	return call[Handover](ctx, c, http.MethodPatch, handoverPath(id, ""), change, "")
}

// CancelHandover ends a hand-over for good.
func (c *Client) CancelHandover(ctx context.Context, id string) (*Handover, error) {
	return call[Handover](ctx, c, http.MethodPost, handoverPath(id, "/cancel"), nil, "")
}

// ReturnHandover says that a parcel went back.
func (c *Client) ReturnHandover(ctx context.Context, id string) (*Handover, error) {
	return call[Handover](ctx, c, http.MethodPost, handoverPath(id, "/return"), nil, "")
}

// EndAttempt ends the attempt that is under way.
func (c *Client) EndAttempt(ctx context.Context, id string) (*Handover, error) {
	return call[Handover](ctx, c, http.MethodPost, handoverPath(id, "/end_attempt"), nil, "")
}

// OutForDelivery sends a parcel out with a courier, without a round; its code goes to the recipient.
func (c *Client) OutForDelivery(ctx context.Context, id, courier string) (*Handover, error) {
	return call[Handover](ctx, c, http.MethodPost, handoverPath(id, "/out_for_delivery"), map[string]string{"courier": courier}, "")
}

// ReleaseHandover hands a parcel over without a code, by a second person's word; the note says what they checked.
func (c *Client) ReleaseHandover(ctx context.Context, id, note string) (*Handover, error) {
	return call[Handover](ctx, c, http.MethodPost, handoverPath(id, "/release"), map[string]string{"note": note}, "")
}

// SettleConflicts says that the depot has dealt with a hand-over's conflicts.
func (c *Client) SettleConflicts(ctx context.Context, id string) (*Handover, error) {
	return call[Handover](ctx, c, http.MethodPost, handoverPath(id, "/conflicts/settle"), nil, "")
}

// Act is one thing that a courier did. Courier and Do are needed, and what Do takes.
type Act struct {
	Courier  string    `json:"courier"`
	Key      string    `json:"key,omitempty"` // of your own: told again, it gets the same result; empty: one of the client's, for its repeats
	Attempt  int       `json:"attempt,omitempty"`
	Do       string    `json:"do"` // arrive, code, ticket, give_up, refuse, send or weak
	Code     string    `json:"code,omitempty"`
	Ticket   string    `json:"ticket,omitempty"`
	Reason   string    `json:"reason,omitempty"`
	Channel  string    `json:"channel,omitempty"`
	Weak     string    `json:"weak,omitempty"`
	Note     string    `json:"note,omitempty"`
	Position *Position `json:"position,omitempty"`
	Offline  bool      `json:"offline,omitempty"` // without signal, and told now
	SaidAt   time.Time `json:"said_at,omitzero"`  // then: when it happened
}

// Position is a place on the map, in degrees.
type Position struct {
	Lat float64 `json:"lat"`
	Lon float64 `json:"lon"`
}

// Acted is what became of an act.
type Acted struct {
	Result     string   `json:"result"`
	TriesLeft  int      `json:"tries_left"`
	Why        string   `json:"why"`
	RetryAfter int      `json:"retry_after"` // seconds
	Conflict   bool     `json:"conflict"`
	Handover   Handover `json:"handover"`
}

// Act tells what a courier did. A yes whose answer was lost is still a yes: it is asked again under the same key.
func (c *Client) Act(ctx context.Context, id string, act Act) (*Acted, error) {
	return call[Acted](ctx, c, http.MethodPost, handoverPath(id, "/acts"), act, act.Key)
}

// Proof gives the signed record of what was handed over: a JWS.
func (c *Client) Proof(ctx context.Context, id string) (string, error) {
	got, err := call[struct {
		Proof string `json:"proof"`
	}](ctx, c, http.MethodGet, handoverPath(id, "/proof"), nil, "")
	if err != nil {
		return "", err
	}
	return got.Proof, nil
}

// DeliveryCode is a code on its way to its recipient's eyes: show it on a press, keep it nowhere.
type DeliveryCode struct {
	Code      string    `json:"code"`
	Ticket    string    `json:"ticket"` // the text of the QR code
	GoodUntil time.Time `json:"good_until"`
}

// DeliveryCode gives the code for a page of yours, for somebody who has proven the recipient's contact to you.
func (c *Client) DeliveryCode(ctx context.Context, id string) (*DeliveryCode, error) {
	return call[DeliveryCode](ctx, c, http.MethodPost, handoverPath(id, "/code"), nil, "")
}

// RecipientAct is what a recipient does on a page of yours, on which they have proven their contact.
type RecipientAct struct {
	Do      string `json:"do"` // nobody_here, here_after_all, another_day, refuse, send_again or asked_by_phone
	Day     string `json:"day,omitempty"`
	Channel string `json:"channel,omitempty"`
	Text    string `json:"text,omitempty"`
	IP      string `json:"ip,omitempty"`
}

// RecipientDoes does what a recipient wants.
func (c *Client) RecipientDoes(ctx context.Context, id string, act RecipientAct) (*Handover, error) {
	return call[Handover](ctx, c, http.MethodPost, handoverPath(id, "/recipient"), act, "")
}

// Pass lets a neighbour take a parcel in, once.
type Pass struct {
	Number int       `json:"number"`
	Name   string    `json:"name"`
	At     time.Time `json:"at"`
	Gone   bool      `json:"gone"`
	Used   bool      `json:"used"`
	Link   string    `json:"link"` // for the neighbour
}

// Share makes a pass in a neighbour's name.
func (c *Client) Share(ctx context.Context, id, name string) (*Pass, error) {
	return call[Pass](ctx, c.once(), http.MethodPost, handoverPath(id, "/passes"), map[string]string{"name": name}, "")
}

// Passes lists the passes of a hand-over.
func (c *Client) Passes(ctx context.Context, id string) ([]Pass, error) {
	got, err := call[struct {
		Passes []Pass `json:"passes"`
	}](ctx, c, http.MethodGet, handoverPath(id, "/passes"), nil, "")
	if err != nil {
		return nil, err
	}
	return got.Passes, nil
}

// WithdrawPass takes a pass back.
func (c *Client) WithdrawPass(ctx context.Context, id string, number int) error {
	_, err := call[nothing](ctx, c, http.MethodDelete, handoverPath(id, fmt.Sprintf("/passes/%d", number)), nil, "")
	return err
}

func handoverPath(id, rest string) string { return "/v1/handovers/" + url.PathEscape(id) + rest }

// BulkLine is the answer to one line of a bulk.
type BulkLine struct {
	Line    int    `json:"line"` // from 1
	Order   string `json:"order"`
	ID      string `json:"id"`
	Again   bool   `json:"again"`   // it was there already
	Problem *Fault `json:"problem"` // nil: it is made
}

// Fault is what is wrong with one of many.
type Fault struct {
	Code       string `json:"code"`
	Detail     string `json:"detail"`
	Field      string `json:"field"`
	RetryAfter int    `json:"retry_after"` // seconds
}

// Bulk is what became of a bulk.
type Bulk struct {
	Created int        `json:"created"`
	Again   int        `json:"again"`
	Failed  int        `json:"failed"`
	Lines   []BulkLine `json:"-"`
}

// Bulk makes up to 50,000 hand-overs of lines, each a [NewHandover] as JSON, that are sent while they are read. It is asked once; when it fails, or
// lines of it do, all of it can be sent again.
func (c *Client) Bulk(ctx context.Context, lines io.Reader) (*Bulk, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.base+"/v1/handovers/bulk", lines)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Authorization", "Bearer "+c.key)
	req.Header.Set("Content-Type", "application/jsonl")
	h := c.HTTP
	if h == nil {
		h = http.DefaultClient
	}
	res, err := h.Do(req)
	if err != nil {
		return nil, err
	}
	defer func() { _ = res.Body.Close() }()
	if res.StatusCode != http.StatusOK {
		p := &Problem{Status: res.StatusCode, Detail: http.StatusText(res.StatusCode)}
		_ = json.NewDecoder(io.LimitReader(res.Body, maxReply)).Decode(p) // an answer of something in between has no problem document
		return nil, p
	}
	out := &Bulk{}
	answers := bufio.NewScanner(res.Body)
	for answers.Scan() {
		var which struct{ Line int }
		if err := json.Unmarshal(answers.Bytes(), &which); err != nil {
			return nil, err
		}
		if which.Line == 0 { // the sums
			return out, json.Unmarshal(answers.Bytes(), out)
		}
		var l BulkLine
		if err := json.Unmarshal(answers.Bytes(), &l); err != nil {
			return nil, err
		}
		out.Lines = append(out.Lines, l)
	}
	if err := answers.Err(); err != nil {
		return nil, err
	}
	return nil, io.ErrUnexpectedEOF
}

// CreateHandovers is Bulk for hand-overs that the program makes one after the other.
func (c *Client) CreateHandovers(ctx context.Context, all iter.Seq[NewHandover]) (*Bulk, error) {
	r, w := io.Pipe()
	defer func() { _ = r.Close() }() // ends the writer when the server has heard enough
	go func() {
		lines := json.NewEncoder(w)
		for n := range all {
			if err := lines.Encode(n); err != nil {
				_ = w.CloseWithError(err)
				return
			}
		}
		_ = w.Close()
	}()
	return c.Bulk(ctx, r)
}

// NewRound opens a courier's round.
type NewRound struct {
	Depot     string   `json:"depot"`
	Courier   string   `json:"courier"` // your name or number of them: the same text is the same courier
	TimeZone  string   `json:"time_zone"`
	Hours     int      `json:"hours,omitempty"` // 0: 12
	Handovers []string `json:"handovers,omitempty"`
}

// Round is one shift of a courier with its parcels.
type Round struct {
	ID        string        `json:"id"`
	Courier   string        `json:"courier"` // opaque
	Name      string        `json:"courier_name"`
	Depot     string        `json:"depot"`
	Date      string        `json:"date"`
	OpenedAt  time.Time     `json:"opened_at"`
	Until     time.Time     `json:"until"`
	Handovers []string      `json:"handovers"`
	Parcels   []DepotParcel `json:"parcels"`   // only from Round and DepotDay
	By        string        `json:"opened_by"` // as in Note
}

// Note is who did something beside what codes did, when and why.
type Note struct {
	At   time.Time `json:"at"`
	By   string    `json:"by"`  // "staff:acc_...", "api:ID of the key", or the courier
	Did  string    `json:"did"` // released, weaker_proof, settled, attempt_ended, returned, canceled, looked_up, phone_revoked, invited
	Text string    `json:"text"`
}

// DepotParcel is a hand-over in a depot's lists.
type DepotParcel struct {
	ID         string    `json:"id"`
	Order      string    `json:"order"`
	Parcel     int       `json:"parcel"`
	State      string    `json:"state"`
	Attempt    int       `json:"attempt"`
	Until      time.Time `json:"until"` // the end of its window
	ArrivedAt  time.Time `json:"arrived_at"`
	HandedAt   time.Time `json:"handed_over_at"`
	Means      string    `json:"means"`
	Certainty  string    `json:"certainty"`
	Exceptions []string  `json:"exceptions"`
}

// OpenedRound is a round that was opened or got more parcels.
type OpenedRound struct {
	Round   Round  `json:"round"`
	Link    string `json:"link"` // for the courier's phone; only when it is opened, and once
	LeftOut []struct {
		ID      string `json:"id"`
		Problem Fault  `json:"problem"`
	} `json:"left_out"`
}

// OpenRound opens a round and sends its parcels out. It is asked once: another time would make the link void.
func (c *Client) OpenRound(ctx context.Context, n NewRound) (*OpenedRound, error) {
	return call[OpenedRound](ctx, c.once(), http.MethodPost, "/v1/rounds", n, "")
}

// AddToRound sends more parcels out with a round.
func (c *Client) AddToRound(ctx context.Context, round string, handovers []string) (*OpenedRound, error) {
	return call[OpenedRound](ctx, c, http.MethodPost, "/v1/rounds/"+url.PathEscape(round)+"/handovers", map[string][]string{"handovers": handovers}, "")
}

// Round gives a round with its parcels.
func (c *Client) Round(ctx context.Context, id string) (*Round, error) {
	return call[Round](ctx, c, http.MethodGet, "/v1/rounds/"+url.PathEscape(id), nil, "")
}

// InviteCourier makes a new link for a courier whose shift isn't over.
func (c *Client) InviteCourier(ctx context.Context, courier string) (string, error) {
	got, err := call[struct {
		Link string `json:"link"`
	}](ctx, c.once(), http.MethodPost, "/v1/couriers/"+url.PathEscape(courier)+"/invite", nil, "")
	if err != nil {
		return "", err
	}
	return got.Link, nil
}

// RevokeCourier signs a courier's phone out at once.
func (c *Client) RevokeCourier(ctx context.Context, courier string) error {
	_, err := call[nothing](ctx, c, http.MethodPost, "/v1/couriers/"+url.PathEscape(courier)+"/revoke", nil, "")
	return err
}

// DepotDay is what a depot sees of one day.
type DepotDay struct {
	Depot   string       `json:"depot"`
	Date    string       `json:"date"`
	Rounds  []DepotRound `json:"rounds"` // the latest first
	Figures Figures      `json:"figures"`
}

// DepotRound is a round as the depot sees it.
type DepotRound struct {
	Round
	Device  string    `json:"device"` // the courier's phone, in words; empty: none is bound
	BoundAt time.Time `json:"device_bound_at"`
	Current bool      `json:"current"`          // this courier's latest
	Alarm   bool      `json:"weak_proof_alarm"` // this courier's parcels are handed over by weaker proofs unusually often
	Figures Figures   `json:"figures"`          // of this courier on this day
	Notes   []Note    `json:"notes"`            // about this courier's phones
}

// Figures count what was done on one day.
type Figures struct {
	Code      int `json:"code"`
	Ticket    int `json:"qr"`
	Pass      int `json:"neighbour"`
	Weak      int `json:"weaker"`
	Offline   int `json:"offline"`
	Attempted int `json:"attempted"`
	Refused   int `json:"refused"`
	Arrived   int `json:"arrived"`
	Unseen    int `json:"arrived_without_position"`
	Stopped   int `json:"nobody_here"`
	Missing   int `json:"code_missing"`
	Wrong     int `json:"wrong_codes"`
	Conflicts int `json:"conflicts"`
}

// DepotDay is a depot's day ("2026-11-26"; empty: today in the time zone).
func (c *Client) DepotDay(ctx context.Context, depot, date, zone string) (*DepotDay, error) {
	q := url.Values{"depot": {depot}, "time_zone": {zone}}
	if date != "" {
		q.Set("date", date)
	}
	return call[DepotDay](ctx, c, http.MethodGet, "/v1/depots?"+q.Encode(), nil, "")
}

// ProofKeys are the public keys that a service's proofs are checked with, those of before included, as a JWK set (RFC 7517). Keep a copy with the proofs.
func (c *Client) ProofKeys(ctx context.Context, service string) (json.RawMessage, error) {
	return rawOf(call[json.RawMessage](ctx, c, http.MethodGet, "/v1/services/"+url.PathEscape(service)+"/proof-keys", nil, ""))
}

// RotateProofKey has proofs and QR codes signed with a new key from now on, and returns all keys. What older keys signed stays valid.
func (c *Client) RotateProofKey(ctx context.Context) (json.RawMessage, error) {
	return rawOf(call[json.RawMessage](ctx, c.once(), http.MethodPost, "/v1/proof-keys", nil, ""))
}

func rawOf(out *json.RawMessage, err error) (json.RawMessage, error) {
	if err != nil {
		return nil, err
	}
	return *out, nil
}
