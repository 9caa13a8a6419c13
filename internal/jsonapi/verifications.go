// SPDX-License-Identifier: Apache-2.0

package jsonapi

import (
	"encoding/hex"
	"fmt"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/countersign/countersign/internal/fault"
	"github.com/countersign/countersign/internal/httpx"
	"github.com/countersign/countersign/internal/ledger"
	"github.com/countersign/countersign/internal/otp"
	"github.com/countersign/countersign/internal/service"
	"github.com/countersign/countersign/internal/verification"
)

func (a *API) begin(c *call) error {
	var in BeginBody
	body, err := httpx.ReadJSON(c.Exchange, &in)
	if err != nil {
		return err
	}
	req := verification.BeginRequest{
		Service: c.svc, Channel: service.Channel(in.Channel), Purpose: service.Purpose(in.Purpose), Detail: detail(in.Transaction),
		Locale: in.Locale, Caller: caller(in.Caller), Context: verification.RequestContext(in.Context),
	}
	if req.Contact, err = a.contact(in.To, in.DefaultRegion, "to"); err != nil {
		return err
	}
	if err := checkCaller(in.Caller); err != nil {
		return err
	}
	if in.Account != "" {
		if n, err := hex.Decode(req.Account[:], []byte(in.Account[:min(len(in.Account), 32)])); err != nil || n != 16 || len(in.Account) != 32 {
			return fault.New(fault.Invalid, "invalid_account", "account must be 32 hexadecimal digits.").WithField("account")
		}
	}
	if in.Code != "" {
		code, err := supplied(in.Code)
		if err != nil {
			return err
		}
		req.Code = &code
	}
	if req.Idempotency, err = idempotency(c, "begin", body); err != nil {
		return err
	}
	b, err := a.Engine.Begin(c.context(), req)
	if err != nil {
		return err
	}
	return write(c, 201, Begun{Verification: a.shown(&b.View), FlowSecret: b.FlowSecret})
}

// supplied reads an application's own code: digits and nothing else.
func supplied(text string) (otp.Code, error) {
	for _, r := range text {
		if r < '0' || r > '9' {
			return otp.Code{}, errSupplied
		}
	}
	if len(text) < otp.MinDigits || len(text) > otp.MaxDigits {
		return otp.Code{}, errSupplied
	}
	return otp.NewCode(text), nil
}

var errSupplied = fault.New(fault.Invalid, "invalid_code", fmt.Sprintf("A code of your own must be %d to %d digits.", otp.MinDigits, otp.MaxDigits)).WithField("code")

func (a *API) status(c *call) error {
	return a.onVerification(c, 200, func(id ledger.ID) (*verification.View, error) { return a.Engine.Status(c.context(), c.svc, id) })
}

func (a *API) cancel(c *call) error {
	return a.onVerification(c, 200, func(id ledger.ID) (*verification.View, error) { return a.Engine.Cancel(c.context(), c.svc, id) })
}

func (a *API) resend(c *call) error {
	var in ResendBody
	var body []byte
	var err error
	if c.Request.ContentLength != 0 {
		if body, err = httpx.ReadJSON(c.Exchange, &in); err != nil {
			return err
		}
	}
	if err := checkCaller(in.Caller); err != nil {
		return err
	}
	idem, err := idempotency(c, "resend", body)
	if err != nil {
		return err
	}
	return a.onVerification(c, 202, func(id ledger.ID) (*verification.View, error) {
		return a.Engine.Resend(c.context(), verification.ResendRequest{
			Service: c.svc, ID: id, Channel: service.Channel(in.Channel), Caller: caller(in.Caller), Idempotency: idem,
		})
	})
}

// onVerification runs fn on the verification that the path names and writes its view.
func (a *API) onVerification(c *call, status int, fn func(ledger.ID) (*verification.View, error)) error {
	id, err := verification.ParseID(c.Request.PathValue("id"))
	if err != nil {
		return err
	}
	v, err := fn(id)
	if err != nil {
		return err
	}
	return write(c, status, a.shown(v))
}

func (a *API) check(c *call) error {
	var in CheckBody
	body, err := httpx.ReadJSON(c.Exchange, &in)
	if err != nil {
		return err
	}
	id, err := verification.ParseID(c.Request.PathValue("id"))
	if err != nil {
		return err
	}
	return a.judge(c, body, in, verification.CheckRequest{ID: id})
}

func (a *API) checkContact(c *call) error {
	var in CheckContactBody
	body, err := httpx.ReadJSON(c.Exchange, &in)
	if err != nil {
		return err
	}
	to, err := a.contact(in.To, in.DefaultRegion, "to")
	if err != nil {
		return err
	}
	return a.judge(c, body, CheckBody{Code: in.Code, Transaction: in.Transaction, Caller: in.Caller}, verification.CheckRequest{Contact: &to})
}

func (a *API) judge(c *call, body []byte, in CheckBody, req verification.CheckRequest) error {
	if in.Code == "" {
		return fault.New(fault.Invalid, "code_missing", "Give what the person typed as code.").WithField("code")
	}
	if err := checkCaller(in.Caller); err != nil {
		return err
	}
	var err error
	if req.Idempotency, err = idempotency(c, "check", body); err != nil {
		return err
	}
	req.Service, req.Typed, req.Detail, req.Caller = c.svc, in.Code, detail(in.Transaction), caller(in.Caller)
	got, err := a.Engine.Check(c.context(), req)
	if err != nil {
		return err
	}
	out := Checked{
		Result: got.Result.String(), Approved: got.Result == verification.Granted, Message: sentence(got),
		DeviceToken: got.DeviceToken, Verification: a.shown(&got.View),
	}
	if got.Result == verification.Unclear {
		out.Why, out.TypedDigits = got.Typed.String(), got.TypedDigits
	}
	return write(c, 200, out)
}

// sentence says the result to the person.
func sentence(c *verification.Checked) string {
	tries := fmt.Sprintf("%d tries left.", c.TriesLeft)
	if c.TriesLeft == 1 {
		tries = "1 try left."
	}
	switch c.Result {
	case verification.Granted:
		return "The code is right."
	case verification.WrongCode:
		return "That's not the code we sent. Use the newest message. " + tries
	case verification.Superseded:
		return "That code was replaced by a newer one. Use the newest message. " + tries
	case verification.Unclear:
		if c.Typed == otp.TypedTooShort || c.Typed == otp.TypedTooLong {
			return fmt.Sprintf("The code has %d digits; you typed %d.", c.CodeLength, c.TypedDigits)
		}
		if c.Typed == otp.TypedDelivery {
			return "That's a delivery code. Give it only to the person at your door."
		}
		return fmt.Sprintf("There is no code of %d digits in that.", c.CodeLength)
	case verification.TransactionChanged:
		return "The amount or the payee isn't what the code was made for, so the code is void. Start the payment again."
	case verification.AlreadyUsed:
		return "This code has already been used."
	case verification.TooManyTries:
		return "Too many tries, so this code no longer works. Ask for a new one."
	case verification.WasCanceled:
		return "This code was canceled. Ask for a new one."
	case verification.NeverSent:
		return "The message with this code could not be sent. Ask for a new one."
	default:
		return "That code is too old. Ask for a new one."
	}
}

func detail(t *Transaction) verification.Detail {
	if t == nil {
		return verification.Detail{}
	}
	return verification.Detail{Amount: t.Amount, Payee: t.Payee}
}

func caller(c Caller) verification.Caller {
	return verification.Caller{IP: c.IP, Device: c.Device, Session: c.Session, DeviceToken: c.DeviceToken}
}

// maxCallerText is the longest text of a caller in bytes.
const maxCallerText = 256

func checkCaller(c Caller) error {
	for name, v := range map[string]string{"ip": c.IP, "device": c.Device, "session": c.Session, "device_token": c.DeviceToken} {
		if len(v) > maxCallerText {
			return fault.New(fault.Invalid, "caller_too_long", fmt.Sprintf("Each text of caller may have at most %d bytes.", maxCallerText)).WithField("caller." + name)
		}
	}
	return nil
}

// shown is a view as the API gives it.
func (a *API) shown(v *verification.View) Verification {
	now := a.Now()
	out := Verification{
		ID: verification.FormatID(v.ID), Status: v.Status.String(), Reason: v.Reason.String(), Purpose: string(v.Purpose), Channel: string(v.Channel),
		To: v.Contact, Generation: v.Generation, CodeLength: v.CodeLength, CreatedAt: v.CreatedAt, ExpiresAt: v.ExpiresAt, EndedAt: v.EndedAt,
		TriesLeft: v.TriesLeft, SendsLeft: v.SendsLeft, NextSendAt: v.NextSendAt, Messages: make([]Message, 0, len(v.Messages)),
	}
	if v.Status == verification.Pending {
		out.ExpiresInSeconds = seconds(v.ExpiresAt.Sub(now))
		if !v.NextSendAt.IsZero() {
			out.NextSendIn = seconds(v.NextSendAt.Sub(now))
		}
	}
	for _, m := range v.Messages {
		out.Messages = append(out.Messages, Message{string(m.Channel), m.Status.String(), m.Generation, m.QueuedAt, m.SentAt, m.ReceiptAt})
	}
	return out
}

// seconds rounds up, so that who waits that long has waited long enough.
func seconds(d time.Duration) int { return max(0, int((d+time.Second-1)/time.Second)) }

// canonical is equal for equal requests, however their JSON is spaced and ordered.
func canonical(path string, body []byte) []byte {
	v := jsontext.Value(append([]byte(nil), body...))
	if v.Canonicalize() != nil {
		v = body
	}
	return append(append([]byte(path), 0), v...)
}
