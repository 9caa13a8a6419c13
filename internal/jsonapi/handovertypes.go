// SPDX-License-Identifier: Apache-2.0

package jsonapi

import "time"

// HandoverBody makes a hand-over.
type HandoverBody struct {
	Order         string        `json:"order" doc:"Your own reference, at most 64 characters. With parcel it is unique in the service."`
	Parcel        int           `json:"parcel,omitzero" doc:"Of the order's parcels, which: 1 to 50; 1 if left out."`
	Recipient     RecipientBody `json:"recipient"`
	DefaultRegion string        `json:"default_region,omitempty" doc:"Country of numbers without one, such as DE."`
	Window        WindowBody    `json:"window" doc:"When the parcel is to come, by the clock at the door."`
	Items         string        `json:"items,omitempty" doc:"What is handed over, in words: at most 120 characters."`
	AddressHint   string        `json:"address_hint,omitempty" doc:"For the courier: 2nd floor, blue door. At most 80 characters."`
	Depot         string        `json:"depot,omitempty" doc:"From where it comes: at most 60 characters."`
	Weak          []string      `json:"weak,omitempty" doc:"What may stand in for the code, of second_person, identity and photo; left out: what the policy allows, which it can't exceed. []: nothing."`
	NoPass        bool          `json:"no_pass,omitzero" doc:"The recipient may not send a neighbour."`
	Attempts      int           `json:"attempts,omitzero" doc:"That it may have, 1 to 9; left out: the policy's."`
	Quiet         bool          `json:"quiet,omitzero" doc:"Don't send the tracking link: you send it, or show it on a page of your own."`
}

// RecipientBody is who is to get a parcel.
type RecipientBody struct {
	Name     string   `json:"name,omitempty" doc:"At most 60 characters. Pages show the first word, couriers the initials."`
	Contacts []string `json:"contacts" doc:"One to three phone numbers or email addresses; messages go to the first, the code can be sent again to the others."`
	Locale   string   `json:"locale,omitempty" doc:"Language of the messages (BCP 47); left out: the service's."`
}

// WindowBody is a delivery window.
type WindowBody struct {
	From     string `json:"from" doc:"2026-11-26T14:00 by the clock at the door, or a time as in RFC 3339; at most 60 days from now."`
	Until    string `json:"until" doc:"Likewise, at most 24 hours after from."`
	TimeZone string `json:"time_zone" doc:"At the door: Europe/Berlin."`
}

// HandoverPatch changes what it names.
type HandoverPatch struct {
	Recipient     *RecipientBody `json:"recipient,omitempty" doc:"All contacts anew. Another first contact of a parcel that is under way gets a new code; the old one no longer works."`
	DefaultRegion string         `json:"default_region,omitempty" doc:"Country of numbers without one, such as DE."`
	Window        *WindowBody    `json:"window,omitempty" doc:"Not while the parcel is under way."`
	Items         *string        `json:"items,omitempty" doc:"At most 120 characters."`
	AddressHint   *string        `json:"address_hint,omitempty" doc:"At most 80 characters."`
}

// Handover is a parcel that changes hands. It never holds a code.
type Handover struct {
	ID          string             `json:"id"`
	Order       string             `json:"order"`
	Parcel      int                `json:"parcel"`
	State       string             `json:"state" enum:"created,out_for_delivery,arrived,handed_over,attempted,refused,returned,expired,canceled"`
	Recipient   Recipient          `json:"recipient"`
	Items       string             `json:"items,omitempty"`
	AddressHint string             `json:"address_hint,omitempty"`
	Depot       string             `json:"depot,omitempty"`
	Window      Window             `json:"window"`
	Attempt     int                `json:"attempt" doc:"That is under way, or was last; 0: none yet."`
	Attempts    int                `json:"attempts" doc:"That it may have."`
	Code        int                `json:"code_generation" doc:"Of the code: it counts up with each new one; 0: there is none yet."`
	Courier     string             `json:"courier,omitempty" doc:"Of the attempt: opaque, and the same for the same courier."`
	ArrivedAt   time.Time          `json:"arrived_at,omitzero" doc:"When the courier said that they are at the door."`
	StoppedAt   time.Time          `json:"stopped_at,omitzero" doc:"When the recipient said that nobody is there: no code is taken."`
	TriesLeft   int                `json:"tries_left"`
	Blocked     bool               `json:"blocked" doc:"No code is taken any more in this attempt."`
	Spent       bool               `json:"spent" doc:"Nor in any other: only a release is left."`
	Neighbour   bool               `json:"neighbour" doc:"There is a pass for a neighbour that works."`
	PassAllowed bool               `json:"pass_allowed"`
	Weak        []string           `json:"weak" doc:"What may stand in for the code."`
	Means       string             `json:"means,omitempty" enum:"code,qr,pass_code,pass_qr,second_person,identity,photo" doc:"By which it changed hands."`
	Certainty   string             `json:"certainty,omitempty" enum:"confirmed,confirmed_offline,settled_later,weaker" doc:"How certain it is that the right person has it."`
	HandedAt    time.Time          `json:"handed_over_at,omitzero"`
	CreatedAt   time.Time          `json:"created_at"`
	EndedAt     time.Time          `json:"ended_at,omitzero"`
	SendsLeft   int                `json:"sends_left" doc:"Of the code, in this attempt."`
	NextSendAt  time.Time          `json:"next_send_at,omitzero" doc:"When the code may be sent again."`
	Exceptions  []string           `json:"exceptions" doc:"Why somebody at the depot should look, the most urgent first: conflict, stopped, blocked, undelivered, weaker, unseen."`
	Steps       []HandoverStep     `json:"steps"`
	Messages    []HandoverMessage  `json:"messages"`
	Conflicts   []HandoverConflict `json:"conflicts,omitempty" doc:"What came from a phone without signal and doesn't fit."`
	Notes       []Note             `json:"notes,omitempty" doc:"Who did something about it beside what codes did; the latest 40, the last at the end."`
	Tracking    string             `json:"tracking,omitempty" doc:"Link to the recipient's page. It shows the state to whoever has it, and the code only to a device that has proven the contact."`
}

// HandoverFull is a hand-over with what its recipient can choose from.
type HandoverFull struct {
	Handover
	Days     []string `json:"days" doc:"That the recipient can choose instead."`
	Channels []string `json:"channels" doc:"By which the code can be sent again; none while the parcel isn't under way."`
}

// NewHandover is the answer to HandoverBody.
type NewHandover struct {
	Handover
	Again bool `json:"again" doc:"It was there already, made of the same: nothing has changed (status 200 instead of 201)."`
}

// Recipient is who is to get a parcel, as far as it is shown.
type Recipient struct {
	Name     string   `json:"name,omitempty" doc:"The first word only."`
	Initials string   `json:"initials,omitempty"`
	Contacts []string `json:"contacts" doc:"Masked."`
	Locale   string   `json:"locale,omitempty"`
}

// Window is when a parcel is to come.
type Window struct {
	From      time.Time `json:"from"`
	Until     time.Time `json:"until"`
	TimeZone  string    `json:"time_zone"`
	GoodUntil time.Time `json:"good_until" doc:"The end of the delivery day, and of the code."`
}

// HandoverStep is one entry of a hand-over's history.
type HandoverStep struct {
	State   string    `json:"state"`
	At      time.Time `json:"at"`
	Attempt int       `json:"attempt,omitzero"`
	Reason  string    `json:"reason,omitempty" enum:"nobody_home,no_access,wrong_address,other,day_over,another_day,by_recipient,at_the_door,by_depot,by_application,conflict"`
	Courier string    `json:"courier,omitempty"`
}

// HandoverMessage is one message about a hand-over.
type HandoverMessage struct {
	Kind      string    `json:"kind" enum:"link,code,arrived,new_code,asked,blocked,missed,released,by_pass,over"`
	Channel   string    `json:"channel"`
	To        string    `json:"to" doc:"Masked."`
	Status    string    `json:"status" enum:"queued,sent,delivered,undelivered,failed,canceled"`
	QueuedAt  time.Time `json:"queued_at"`
	SentAt    time.Time `json:"sent_at,omitzero"`
	ReceiptAt time.Time `json:"receipt_at,omitzero"`
}

// Note is who did something, when and why.
type Note struct {
	At   time.Time `json:"at"`
	By   string    `json:"by" doc:"staff:acc_..., api:ID of the key, or the courier."`
	Did  string    `json:"did" enum:"released,weaker_proof,settled,attempt_ended,returned,canceled,looked_up,phone_revoked,invited"`
	Text string    `json:"text,omitempty" doc:"What they said of it."`
}

// HandoverConflict is what came from a phone without signal and doesn't fit.
type HandoverConflict struct {
	At        time.Time `json:"at" doc:"When we heard of it."`
	SaidAt    time.Time `json:"said_at" doc:"When it happened, by the phone's estimate."`
	Result    string    `json:"result"`
	Attempt   int       `json:"attempt"`
	Courier   string    `json:"courier"`
	SettledAt time.Time `json:"settled_at,omitzero"`
}

// Handovers are the hand-overs of one order.
type Handovers struct {
	Handovers []Handover `json:"handovers"`
}

// OutBody sends one parcel out.
type OutBody struct {
	Courier string `json:"courier" doc:"Your own name or number of them, at most 60 characters: the same text is the same courier."`
}

// ActBody is one thing that a courier did.
type ActBody struct {
	Courier  string    `json:"courier" doc:"Who does it, as in the request that sent the parcel out."`
	Key      string    `json:"key,omitempty" doc:"Of your own, 1 to 255 printable characters without spaces: told again with the same key, it gets the same result. The header Idempotency-Key is the same."`
	Attempt  int       `json:"attempt,omitzero" doc:"That it belongs to; left out: the one that is under way."`
	Do       string    `json:"do" enum:"arrive,code,ticket,give_up,refuse,send,weak"`
	Code     string    `json:"code,omitempty" doc:"Of code: what was typed."`
	Ticket   string    `json:"ticket,omitempty" doc:"Of ticket: what was scanned."`
	Reason   string    `json:"reason,omitempty" enum:"nobody_home,no_access,wrong_address,other" doc:"Of give_up."`
	Channel  string    `json:"channel,omitempty" enum:"sms,email,voice" doc:"Of send; left out: the usual one."`
	Weak     string    `json:"weak,omitempty" enum:"identity,photo" doc:"Of weak: what was seen instead of the code."`
	Note     string    `json:"note,omitempty" doc:"Of weak: what was checked, and why there is no code; at most 80 characters."`
	Position *Position `json:"position,omitempty" doc:"Where the courier is; kept rounded to a kilometre."`
	Offline  bool      `json:"offline,omitzero" doc:"It happened without signal and is told now."`
	SaidAt   time.Time `json:"said_at,omitzero" doc:"Of offline: when it happened, as well as the phone knows."`
}

// Position is a place on the map.
type Position struct {
	Lat *float64 `json:"lat" doc:"-90 to 90."`
	Lon *float64 `json:"lon" doc:"-180 to 180."`
}

// Acted is what became of what a courier did.
type Acted struct {
	Result     string   `json:"result" enum:"done,handed_over,wrong,unclear,sign_in_code,not_arrived,stopped,blocked,exhausted,not_yours,other_parcel,old_ticket,bad_ticket,other_device,old_attempt,over,expired,not_allowed,wait"`
	TriesLeft  int      `json:"tries_left"`
	Why        string   `json:"why,omitempty" doc:"Of unclear: why it can't be a delivery code. No try was spent."`
	RetryAfter int      `json:"retry_after,omitzero" doc:"Of wait: seconds."`
	Conflict   bool     `json:"conflict,omitzero" doc:"It happened without signal and doesn't fit: it waits for the depot."`
	Handover   Handover `json:"handover"`
}

// RecipientDoBody is what a recipient does on a page of yours.
type RecipientDoBody struct {
	Do      string `json:"do" enum:"nobody_here,here_after_all,another_day,refuse,send_again,asked_by_phone"`
	Day     string `json:"day,omitempty" doc:"Of another_day: one of days, such as 2026-11-27."`
	Channel string `json:"channel,omitempty" enum:"sms,email,voice" doc:"Of send_again; left out: the usual one."`
	Text    string `json:"text,omitempty" doc:"Of asked_by_phone: what the caller said; at most 500 characters."`
	IP      string `json:"ip,omitempty" doc:"Of asked_by_phone: the recipient's address, by which reports are limited."`
}

// PassBody asks for a neighbour's pass.
type PassBody struct {
	Name string `json:"name" doc:"Whose pass it is: at most 60 characters."`
}

// Pass lets a neighbour take a parcel in, once.
type Pass struct {
	Number int       `json:"number"`
	Name   string    `json:"name"`
	At     time.Time `json:"at"`
	Gone   bool      `json:"gone" doc:"Withdrawn, or its attempt is over."`
	Used   bool      `json:"used"`
	Link   string    `json:"link,omitempty" doc:"For the neighbour: whoever has it can take the parcel in. Absent when it is gone."`
}

// Passes are the passes of one hand-over.
type Passes struct {
	Passes []Pass `json:"passes"`
}

// DeliveryCode is a code on its way to the recipient's eyes.
type DeliveryCode struct {
	Code      string    `json:"code" doc:"Such as D-48213. Show it on a press and keep it nowhere."`
	Ticket    string    `json:"ticket" doc:"The text of the QR code. It holds no code."`
	GoodUntil time.Time `json:"good_until"`
}

// ReleaseBody hands a parcel over without a code.
type ReleaseBody struct {
	Note string `json:"note" doc:"What was checked, and why there is no code; at most 80 characters."`
}

// Proof is the signed record of a hand-over.
type Proof struct {
	Proof string `json:"proof" doc:"A JWS (RFC 7515) in its compact form, signed by ES256."`
}

// RoundBody opens a courier's round.
type RoundBody struct {
	Depot     string   `json:"depot" doc:"At most 60 characters."`
	Courier   string   `json:"courier" doc:"Your own name or number of them, at most 60 characters: the same text is the same courier."`
	TimeZone  string   `json:"time_zone" doc:"Of the depot: by it a day begins."`
	Hours     int      `json:"hours,omitzero" doc:"Of the shift, 1 to 24; 12 if left out."`
	Handovers []string `json:"handovers,omitempty" doc:"At most 500, in the order of the round."`
}

// ParcelsBody names hand-overs.
type ParcelsBody struct {
	Handovers []string `json:"handovers" doc:"A round has at most 500."`
}

// Round is one shift of a courier with its parcels.
type Round struct {
	ID        string    `json:"id"`
	Courier   string    `json:"courier"`
	Name      string    `json:"courier_name"`
	Depot     string    `json:"depot"`
	Date      string    `json:"date" doc:"At the depot."`
	OpenedAt  time.Time `json:"opened_at"`
	Until     time.Time `json:"until" doc:"The end of the shift."`
	Handovers []string  `json:"handovers"`
	By        string    `json:"opened_by,omitempty" doc:"staff:acc_... or api:ID of the key."`
}

// NewRound is the answer to RoundBody.
type NewRound struct {
	Round   Round     `json:"round"`
	Link    string    `json:"link" doc:"For the courier's phone, as a link or a QR code: it works once, within 12 hours. It is shown once."`
	LeftOut []LeftOut `json:"left_out" doc:"What couldn't go out, and why."`
}

// ChangedRound is a round that got more parcels.
type ChangedRound struct {
	Round   Round     `json:"round"`
	LeftOut []LeftOut `json:"left_out" doc:"What couldn't go out, and why."`
}

// LeftOut is a parcel that couldn't go out.
type LeftOut struct {
	ID      string      `json:"id"`
	Problem LineProblem `json:"problem"`
}

// LineProblem is what is wrong with one of many.
type LineProblem struct {
	Code       string `json:"code" doc:"As in problem documents."`
	Detail     string `json:"detail"`
	Field      string `json:"field,omitempty"`
	RetryAfter int    `json:"retry_after,omitzero" doc:"Seconds after which asking again makes sense."`
}

// FullRound is a round with its parcels.
type FullRound struct {
	Round
	Parcels []DepotParcel `json:"parcels" doc:"In their order; those that another courier has meanwhile are left out."`
}

// DepotParcel is a hand-over in a depot's lists.
type DepotParcel struct {
	ID         string    `json:"id"`
	Order      string    `json:"order"`
	Parcel     int       `json:"parcel"`
	State      string    `json:"state"`
	Attempt    int       `json:"attempt"`
	Until      time.Time `json:"until" doc:"The end of its window."`
	ArrivedAt  time.Time `json:"arrived_at,omitzero"`
	HandedAt   time.Time `json:"handed_over_at,omitzero"`
	Means      string    `json:"means,omitempty"`
	Certainty  string    `json:"certainty,omitempty"`
	Exceptions []string  `json:"exceptions"`
}

// DepotDay is one day of a depot.
type DepotDay struct {
	Depot   string       `json:"depot"`
	Date    string       `json:"date"`
	Rounds  []DepotRound `json:"rounds" doc:"The latest first."`
	Figures Figures      `json:"figures" doc:"Of all couriers."`
}

// DepotRound is a round as the depot sees it.
type DepotRound struct {
	Round
	Device  string        `json:"device,omitempty" doc:"The courier's phone, in words; absent: none is bound."`
	BoundAt time.Time     `json:"device_bound_at,omitzero"`
	Current bool          `json:"current" doc:"It is this courier's latest."`
	Alarm   bool          `json:"weak_proof_alarm" doc:"This courier uses weaker proofs unusually often."`
	Parcels []DepotParcel `json:"parcels"`
	Figures Figures       `json:"figures" doc:"Of this courier on this day, over all their rounds."`
	Notes   []Note        `json:"notes,omitempty" doc:"Who did something about this courier's phones."`
}

// Figures count what was done on one day.
type Figures struct {
	Code      int `json:"code" doc:"Handed over by a typed code."`
	Ticket    int `json:"qr" doc:"By a QR code."`
	Pass      int `json:"neighbour" doc:"Of these, to a neighbour."`
	Weak      int `json:"weaker" doc:"Without a code."`
	Offline   int `json:"offline" doc:"Of all, those that were told later."`
	Attempted int `json:"attempted"`
	Refused   int `json:"refused"`
	Arrived   int `json:"arrived"`
	Unseen    int `json:"arrived_without_position"`
	Stopped   int `json:"nobody_here" doc:"Arrivals of which the recipient said that nobody is there."`
	Missing   int `json:"code_missing" doc:"Codes asked for again at the door."`
	Wrong     int `json:"wrong_codes"`
	Conflicts int `json:"conflicts"`
}

// CourierLink is a link for a courier's phone.
type CourierLink struct {
	Link string `json:"link" doc:"It works once, within 12 hours. It is shown once."`
}

// BulkLine is the answer to one line of a bulk.
type BulkLine struct {
	Line    int          `json:"line" doc:"From 1."`
	Order   string       `json:"order,omitempty"`
	ID      string       `json:"id,omitempty"`
	Again   bool         `json:"again,omitzero" doc:"It was there already."`
	Problem *LineProblem `json:"problem,omitempty"`
}

// BulkSums is the last line of the answer to a bulk.
type BulkSums struct {
	Created int `json:"created"`
	Again   int `json:"again"`
	Failed  int `json:"failed"`
}

// jsonLines stands in the route table for a body with a JSON object a line.
type jsonLines struct{}
