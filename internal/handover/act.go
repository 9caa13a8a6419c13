// SPDX-License-Identifier: Apache-2.0

package handover

import (
	"context"
	"crypto/sha256"
	"math"
	"slices"
	"time"

	"github.com/countersign/countersign/internal/fault"
	"github.com/countersign/countersign/internal/ledger"
	"github.com/countersign/countersign/internal/message"
	"github.com/countersign/countersign/internal/otp"
	"github.com/countersign/countersign/internal/proof"
	"github.com/countersign/countersign/internal/service"
)

// Do is what a courier does at a door.
type Do uint8

// What a courier can do.
const (
	DoArrive Do = iota + 1 // "I'm at the door"
	DoCode                 // what was typed
	DoTicket               // a QR code that was scanned
	DoGiveUp               // nobody there, no way in
	DoRefuse               // the recipient doesn't want it
	DoSend                 // have the code sent again
	DoWeak                 // an identity document seen, a photograph taken
	DoSignIn               // a code for signing in was shown or read out, and the courier's page has refused it without looking at it twice
)

// Result is what became of an act. The numbers are stored.
type Result uint8

// The results.
const (
	Done        Result = iota + 1 // an act without a judgment went through
	Handed                        // it has changed hands
	Wrong                         // judged and wrong
	Unclear                       // not a delivery code: costs no try
	SignInCode                    // it looks like a code for signing in: refused, and the recipient is warned
	NotArrived                    // "I'm at the door" comes first
	Stopped                       // the recipient says that nobody is there
	Blocked                       // six wrong tries: no code is taken any more in this attempt
	Exhausted                     // the courier's wrong tries of a day, or the hand-over's, are used up
	NotYours                      // another courier's
	OtherParcel                   // the ticket of another parcel
	OldTicket                     // of an earlier attempt or code, or of a pass that was withdrawn
	BadTicket                     // not ours, or changed
	OtherDevice                   // for another phone
	OldAttempt                    // the act belongs to an earlier attempt
	Over                          // it is over already, by something else
	Late                          // the delivery day is over
	NotAllowed                    // the service or the hand-over doesn't allow it
	Wait                          // too soon; RetryAfter says when
)

var resultNames = [...]string{
	"", "done", "handed_over", "wrong", "unclear", "sign_in_code", "not_arrived", "stopped", "blocked", "exhausted", "not_yours", "other_parcel", "old_ticket", "bad_ticket",
	"other_device", "old_attempt", "over", "expired", "not_allowed", "wait",
}

// String is the result as the API says it.
func (r Result) String() string { return resultNames[r] }

// Position is where a phone says that it is. It is kept rounded to a hundredth of a degree: about a kilometre.
type Position struct {
	Lat float64 `cbor:"1,keyasint"` // -90 to 90
	Lon float64 `cbor:"2,keyasint"` // -180 to 180
}

func (p *Position) coarse() *Position {
	if p == nil || math.Abs(p.Lat) > 90 || math.Abs(p.Lon) > 180 || math.IsNaN(p.Lat) || math.IsNaN(p.Lon) {
		return nil
	}
	return &Position{math.Round(p.Lat*100) / 100, math.Round(p.Lon*100) / 100}
}

// patience is how long the notice of an arrival without signal waits for what happened next, which is told right after it.
const patience = minute

// Act is one thing that a courier did.
type Act struct {
	Key      string // of the caller's own, the same when it is told again; empty: it is never told again
	Handover ledger.ID
	Attempt  int // that it belongs to; 0: the one that is under way
	Do       Do
	Typed    string // of DoCode, as it was typed
	Ticket   string // of DoTicket
	Reason   Reason // of DoGiveUp: NobodyHome to OtherReason
	Channel  service.Channel
	Means    Means  // of DoWeak: ByIdentity or ByPhoto
	Note     string // likewise: why; at most MaxHint characters
	Position *Position
	Offline  bool      // it happened without signal, and is told now
	SaidAt   time.Time // when it happened, by the phone's estimate of our time; zero: now
}

// Acted is what became of an act.
type Acted struct {
	Result     Result
	TriesLeft  int
	Typed      string        // of Unclear: why (otp.TypedKind)
	RetryAfter time.Duration // of Wait
	Conflict   bool          // it happened without signal and doesn't fit: the depot is told
	View       *View         // nil on a phone whose courier doesn't carry it
}

// Who acts.
type Who struct {
	Courier ledger.ID
	Device  *Device // nil: the application speaks for the courier
}

// By gives the courier that an application names.
func (h *Handovers) By(svc *service.Service, courier string) (Who, error) {
	courier, err := line(courier, "courier", MaxName)
	if err == nil && courier == "" {
		err = fault.New(fault.Invalid, "courier_missing", "Say which courier does this.").WithField("courier")
	}
	return Who{Courier: courierKey(svc, courier).ID}, err
}

// Act judges what a courier did. However many acts come at once on however many nodes, at most one hands the parcel over, and never more than six wrong
// codes are judged in an attempt, ten in a hand-over, and the policy's number of a courier in a day (S29). An act that is told again under its key
// gets the same result: so a yes whose answer was lost is still a yes.
//
// Faults: NotFound (no such hand-over of this service), Unauthorized (shift_over: the phone was revoked meanwhile), Invalid, Unavailable.
func (h *Handovers) Act(ctx context.Context, svc *service.Service, who Who, a Act) (*Acted, error) {
	note, err := line(a.Note, "note", MaxHint)
	if err != nil {
		return nil, err
	}
	a.Note = note
	j := &judgment{svc: svc, who: who, act: &a, ckey: courierByID(svc, who.Courier)}
	if sum := sha256.Sum256([]byte(a.Key)); a.Key != "" {
		copy(j.key[:], sum[:])
	}
	if a.Do == DoTicket {
		if j.ticket, err = proof.VerifyTicket(a.Ticket, svc.Signer().Set()); err != nil {
			j.forged = true
		}
	}
	v, err := h.changed(ctx, svc, a.Handover, []ledger.Key{j.ckey}, j.judge)
	if err != nil {
		return nil, err
	}
	if who.Device == nil || v.Courier == FormatCourier(who.Courier) { // a phone sees no parcel that is another courier's by now
		j.out.View = v
	}
	if j.alarm {
		h.warnOfWeaker(svc, who.Courier)
	}
	return &j.out, nil
}

// judgment is one act on its way to a result.
type judgment struct {
	svc    *service.Service
	who    Who
	act    *Act
	ckey   ledger.Key
	key    actKey // zero: none
	ticket proof.Ticket
	forged bool
	c      *Courier
	cold   bool // the courier's row hasn't changed
	idle   bool // it was so already
	alarm  bool
	out    Acted
}

// judge decides on the locked rows.
func (j *judgment) judge(d *decision) error {
	j.out, j.alarm, j.cold, j.idle = Acted{}, false, true, false
	j.c = loadCourier(d.tx, j.ckey)
	if dev := j.who.Device; dev != nil && (j.c.Device.IsZero() || j.c.binding(j.ckey.ID) != dev.Binding || d.at >= j.c.Until && !j.act.Offline) {
		return errShift
	}
	if i := slices.IndexFunc(d.r.Judged, func(o judged) bool { return o.Key == j.key }); i >= 0 && j.key != (actKey{}) {
		j.out.Result, j.out.Conflict, j.out.TriesLeft, d.still = d.r.Judged[i].Result, d.r.Judged[i].Conflict, d.r.triesLeft(), true
		return nil
	}
	before := d.r.State
	result, err := j.decide(d)
	if err != nil {
		return err
	}
	j.out.Result, j.out.TriesLeft = result, d.r.triesLeft()
	j.conflict(d)
	d.still = d.r.State == before && j.cold && (result != Done || j.idle) && d.say == 0
	if d.still {
		return nil
	}
	if j.key != (actKey{}) && (result == Done || result == Handed || result == Wrong || j.out.Conflict) {
		d.r.remember(judged{j.key, result, j.out.Conflict})
	}
	if !j.cold {
		saveCourier(d.tx, j.ckey, j.c, d.at)
	}
	return nil
}

// count adds to the courier's figures of the day.
func (j *judgment) count(what int, at int64) {
	j.c.count(what, at)
	j.cold = false
}

// decide finds the result and changes the rows.
func (j *judgment) decide(d *decision) (Result, error) {
	r, a := d.r, j.act
	switch {
	case r.Courier != j.who.Courier || r.Attempt == 0:
		return NotYours, nil
	case a.Attempt != 0 && a.Attempt != int(r.Attempt):
		return OldAttempt, nil
	case a.Do == DoSignIn || a.Do == DoCode && j.typed(d).Kind == otp.TypedSignIn: // whatever has become of the parcel, somebody was after an account
		return SignInCode, j.warn(d)
	case r.State == HandedOver && j.same(d):
		return Handed, nil
	case r.State.Final() || r.State == Refused:
		return Over, nil
	case a.Offline && j.late(d):
		return Late, nil
	case r.State == Attempted && a.Offline && a.Do == DoArrive && r.ArrivedAt == 0 && r.last().Reason == DayOver:
		j.seen(d)
		return Done, nil
	case r.State == Attempted && (!a.Offline || a.Do != DoCode && a.Do != DoTicket && a.Do != DoWeak):
		return Late, nil
	}
	switch a.Do {
	case DoArrive:
		return j.arrive(d)
	case DoCode:
		return j.code(d)
	case DoTicket:
		return j.scanned(d)
	case DoGiveUp:
		return j.giveUp(d)
	case DoRefuse:
		j.count(countRefused, d.at)
		return Done, r.move(Refused, AtDoor, d.at)
	case DoSend:
		return j.again(d)
	case DoWeak:
		return j.weak(d)
	}
	return 0, fault.New(fault.Invalid, "invalid_act", "do must be arrive, code, ticket, give_up, refuse, send or weak.").WithField("do")
}

// same tells whether what happened without signal says once more how the parcel was handed over: a code typed twice, or typed and then scanned. Its courier
// has handed it over once, and there is nothing for the depot to look at.
func (j *judgment) same(d *decision) bool {
	r := d.r
	if !j.act.Offline {
		return false
	}
	if j.act.Do == DoWeak || r.Means.Weak() {
		return j.act.Do == DoWeak && j.act.Means == r.Means
	}
	var means Means
	var pass uint8
	switch j.act.Do {
	case DoCode:
		if typed := j.typed(d); typed.Kind == otp.TypedCode {
			means, pass = j.match(d, typed.Code)
		}
	case DoTicket:
		if !j.forged && j.ticket.Handover == [16]byte(d.key.ID) && j.fits(d) {
			means, pass = ByTicket, j.ticket.Pass
		}
	}
	return means != 0 && pass == r.Pass
}

// arrive takes "I'm at the door": only from now on a code is taken, and the recipient is told, so that a caller who asks for the code early is seen
// through (S30). Of an arrival without signal they are told after a moment, unless the hand-over is told with it: so nobody can keep an arrival from
// them by saying that there was no signal.
func (j *judgment) arrive(d *decision) (Result, error) {
	r := d.r
	if r.StoppedAt > 0 {
		return Stopped, nil
	}
	if r.State == Arrived {
		j.idle = true
		return Done, nil
	}
	if err := r.move(Arrived, 0, d.at); err != nil {
		return 0, err
	}
	j.seen(d)
	if err := d.tell(message.DeliveryArrived); err != nil {
		return 0, err
	}
	if j.act.Offline {
		r.Messages[len(r.Messages)-1].WakeAt += patience
		return Done, nil
	}
	if d.svc.Policy.DeliveryAgain && r.Sends < MaxSends {
		d.queue(message.DeliveryCode, 0)
	}
	return Done, nil
}

// seen writes down that the courier is at the door, and whether their phone has said where that is.
func (j *judgment) seen(d *decision) {
	r, where := d.r, j.act.Position.coarse()
	r.ArrivedAt, r.Unseen, r.Where = j.happened(d), where == nil, nil
	if where != nil {
		r.Where = seal(d.svc, d.key, columnWhere, where)
	} else {
		j.count(countUnseen, d.at)
	}
	j.count(countArrived, d.at)
}

// happened is when an act happened: a phone's word on it is bounded by when the attempt began and by now.
func (j *judgment) happened(d *decision) int64 {
	return max(d.begun(), d.r.ArrivedAt, j.said(d))
}

// said is when an act happened by the phone's word, and never later than now.
func (j *judgment) said(d *decision) int64 {
	if !j.act.Offline || j.act.SaidAt.IsZero() {
		return d.at
	}
	return min(d.at, j.act.SaidAt.UnixMilli())
}

// slack is by how much a phone's idea of our time may be wrong.
const slack = 5 * minute

// late tells whether what is told now came too late for anything: after the day of its attempt or after the shift, by the phone's own word, or after the
// courier had given up; or it is told too late.
func (j *judgment) late(d *decision) bool {
	r, at := d.r, j.said(d)
	until := r.DayUntil
	if until == 0 {
		until = r.GoodUntil
	}
	if d.at > until+maxLate || at > until+slack || j.who.Device != nil && at > j.c.Until+slack {
		return true
	}
	last := r.last()
	return r.State == Attempted && last.Reason >= NobodyHome && last.Reason <= OtherReason && at > last.At+slack
}

// last is the latest step.
func (r *Record) last() Step {
	if n := len(r.Steps); n > 0 {
		return r.Steps[n-1]
	}
	return Step{}
}

func (j *judgment) giveUp(d *decision) (Result, error) {
	if j.act.Reason < NobodyHome || j.act.Reason > OtherReason {
		return 0, fault.New(fault.Invalid, "invalid_reason", "reason must be nobody_home, no_access, wrong_address or other.").WithField("reason")
	}
	if err := d.r.move(Attempted, j.act.Reason, d.at); err != nil {
		return 0, err
	}
	j.count(countAttempted, d.at)
	return Done, d.tell(message.DeliveryMissed)
}

// again has the code sent once more, over the channel that is asked for.
func (j *judgment) again(d *decision) (Result, error) {
	r := d.r
	b, err := d.body()
	if err != nil {
		return 0, err
	}
	wait, err := d.sendAgain(b, j.act.Channel)
	if err != nil {
		return 0, err
	}
	if wait > 0 {
		j.out.RetryAfter = wait
		return Wait, nil
	}
	if r.State == Arrived {
		j.count(countMissing, d.at)
	}
	return Done, nil
}

// sendAgain queues the code once more; a wait above zero: it is too soon.
func (d *decision) sendAgain(b *body, channel service.Channel) (time.Duration, error) {
	r := d.r
	if r.State != Out && r.State != Arrived {
		return 0, errState(r.State, r.State)
	}
	channels, to := b.canSend(d.svc)
	i := 0
	if channel != "" {
		i = slices.Index(channels, channel)
	}
	if i < 0 || len(channels) == 0 {
		return 0, fault.New(fault.Invalid, "channel_not_possible", "The code can't go out that way: choose one of the ways that the recipient's contacts have.").WithField("channel")
	}
	if r.Sends >= MaxSends {
		return 0, fault.New(fault.TooMany, "sends_used_up", "This code has been sent as often as it may be. Use another way to hand the parcel over.")
	}
	if wait := r.NextSendAt - d.at; wait > 0 {
		return time.Duration(wait) * time.Millisecond, nil
	}
	d.queueBy(message.DeliveryCode, to[i], channels[i])
	return 0, nil
}

// weak hands over without a code, where that is allowed: it is marked as weaker, counted, and alarms when one courier does it unusually often.
func (j *judgment) weak(d *decision) (Result, error) {
	r, means := d.r, j.act.Means
	if means != ByIdentity && means != ByPhoto {
		return 0, fault.New(fault.Invalid, "invalid_weak_proof", "weak must be identity or photo.").WithField("weak")
	}
	b, err := d.body()
	if err != nil {
		return 0, err
	}
	switch {
	case !b.allows(means):
		return NotAllowed, nil
	case r.ArrivedAt == 0:
		return NotArrived, nil
	case r.StoppedAt > 0:
		return Stopped, nil
	case r.triesLeft() == 0:
		return Blocked, nil
	case len(lately(j.c.Wrong, d.at)) >= d.svc.Policy.CourierGuesses:
		return Exhausted, nil // who has guessed all day isn't believed either
	case j.act.Note == "" && j.act.Offline:
		return NotAllowed, nil // the parcel may be gone
	case j.act.Note == "":
		return 0, fault.New(fault.Invalid, "note_missing", "Say what was checked, and why there is no code.").WithField("note")
	}
	if err := d.note(FormatCourier(r.Courier), DidWeak, j.act.Note); err != nil {
		return 0, err
	}
	if err := j.hand(d, means, 0); err != nil {
		return 0, err
	}
	j.alarm = d.weaker(j.ckey, j.c)
	return Handed, d.tell(message.DeliveryReleased)
}

// keptWeak are the weaker proofs of a day that are kept at least: the alarm needs no more.
const keptWeak = 100

// weaker notes a weaker proof of a courier's, by themselves or by the depot. True: they are unusually many, and that wasn't told within a day.
func (d *decision) weaker(key ledger.Key, c *Courier) bool {
	c.Weak = append(lately(c.Weak, d.at), d.at)
	c.Weak = c.Weak[max(0, len(c.Weak)-max(keptWeak, d.svc.Policy.CourierWeak)):]
	if len(c.Weak) < d.svc.Policy.CourierWeak || c.AlarmAt > d.at-day {
		return false
	}
	c.AlarmAt = d.at
	d.tx.Event(courierEvent(key, EventWeakAlarm, d.at))
	return true
}

func (h *Handovers) warnOfWeaker(svc *service.Service, courier ledger.ID) {
	h.Log.Warn("a courier's parcels are handed over by weaker proofs unusually often", "service", svc.Slug, "courier", FormatCourier(courier))
}

// held tells whether a notice waits for what happened next, and nobody has begun to send it.
func (m *Message) held() bool {
	return m.Status == Queued && m.WakeAt == m.QueuedAt+patience
}

// hand moves the parcel into the recipient's hands.
func (j *judgment) hand(d *decision, means Means, pass uint8) error {
	r := d.r
	at := j.happened(d)
	if err := r.move(HandedOver, 0, d.at); err != nil {
		return err
	}
	r.Means, r.Pass, r.HandedAt, r.Certainty = means, pass, at, Confirmed
	what := countCode
	switch means {
	case ByTicket, ByPassTicket:
		what = countTicket
	}
	switch {
	case means.Weak():
		what, r.Certainty = countWeak, Weaker
	case j.act.Offline && what == countTicket:
		r.Certainty = ConfirmedOffline
	case j.act.Offline:
		r.Certainty = SettledLater
	}
	j.count(what, d.at)
	if pass > 0 {
		j.count(countPass, d.at)
	}
	if j.act.Offline {
		j.count(countOffline, d.at)
	}
	if where := j.act.Position.coarse(); where != nil {
		r.Where = seal(d.svc, d.key, columnWhere, where)
	}
	told := false // of the arrival
	for i := range r.Messages {
		m := &r.Messages[i]
		told = told || m.Kind == message.DeliveryArrived && m.QueuedAt >= d.begun() && m.Status != Void && !m.held()
		if m.Status == Queued && (carriesCode(m.Kind) || m.Kind == message.DeliveryArrived || m.Kind == message.DeliveryLink) {
			m.Status, m.WakeAt = Void, 0
		}
	}
	if pass > 0 {
		if err := d.tell(message.DeliveryByPass); err != nil {
			return err
		}
		r.Messages[len(r.Messages)-1].Pass = pass
	} else if (r.Mail || !told) && !means.Weak() { // a text for each is too much, but one of the two is sent
		return d.tell(message.DeliveryOver)
	}
	return nil
}

// conflict writes down what happened without signal and doesn't fit: the parcel may be gone, so the depot has to know.
func (j *judgment) conflict(d *decision) {
	a := j.act
	if !a.Offline || a.Do != DoCode && a.Do != DoTicket && a.Do != DoWeak || j.out.Result == Handed || j.out.Result == Done {
		return
	}
	if j.out.Result == NotYours && !slices.ContainsFunc(d.r.Steps, func(s Step) bool { return s.Courier == j.who.Courier }) {
		return // they never had it
	}
	j.out.Conflict = true
	if len(d.r.Conflicts) >= maxConflicts { // those that are settled give way first
		i := max(0, slices.IndexFunc(d.r.Conflicts, func(c Conflict) bool { return c.Settled > 0 }))
		d.r.Conflicts = slices.Delete(d.r.Conflicts, i, i+1)
	}
	said := max(d.begun(), j.said(d))
	d.r.Conflicts = append(d.r.Conflicts, Conflict{
		At: d.at, SaidAt: said, Result: j.out.Result, Attempt: uint8(min(a.Attempt, 255)), Courier: j.who.Courier, //nolint:gosec // bounded
	})
	j.count(countConflict, d.at)
	d.tx.Event(event(d.key, d.r, EventConflict, d.at))
}
