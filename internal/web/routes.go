// SPDX-License-Identifier: Apache-2.0

package web

import "slices"

// routes is every page: GET shows and changes nothing, POST acts.
func (p *Pages) routes() []route {
	return slices.Concat(publicRoutes(), centreRoutes(), courierRoutes(), depotRoutes(), restRoutes())
}

// publicRoutes are for everybody; some show more to who is signed in.
func publicRoutes() []route {
	return []route{
		{"GET /signin", anybody, (*Pages).signIn},
		{"POST /signin", anybody, (*Pages).doSignIn},
		{"POST /signin/passkey", anybody, (*Pages).doPasskey},
		{"GET /signup", anybody, (*Pages).signUp},
		{"POST /signup", anybody, (*Pages).doSignUp},
		{"POST /signup/key", anybody, (*Pages).doSignUpKey},
		{"GET /forgot", anybody, (*Pages).forgot},
		{"POST /forgot", anybody, (*Pages).doForgot},
		{"GET /recover", anybody, (*Pages).recover},
		{"POST /recover", anybody, (*Pages).doRecover},
		{"POST /step/alone", anybody, (*Pages).alone},
		{"GET /step", anybody, (*Pages).step},
		{"POST /step/answer", anybody, (*Pages).answer},
		{"POST /step/send", anybody, (*Pages).send},
		{"POST /step/choose", anybody, (*Pages).choose},
		{"POST /step/drop", anybody, (*Pages).drop},
		{"GET /step/why", anybody, (*Pages).why},
		{"GET /check", perhaps, (*Pages).check},
		{"GET /check/messages", perhaps, (*Pages).sent},
		{"GET /check/paste", perhaps, (*Pages).pasting},
		{"POST /check/paste", perhaps, (*Pages).paste},
		{"POST /check/prove", anybody, (*Pages).doProve},
		{"POST /check/block", anybody, (*Pages).doBlock},
		{"GET /review", perhaps, (*Pages).review},
		{"POST /review", session, (*Pages).doReview},
		{"POST /review/step", session, (*Pages).doReviewStep},
		{"POST /review/end", session, (*Pages).doReviewEnd},
		{"POST /review/unblock", session, (*Pages).doUnblock},
		{"POST /review/case", session, (*Pages).doReviewCase},
		{"GET /report", perhaps, (*Pages).report},
		{"POST /report", perhaps, (*Pages).doReport},
		{"GET /report/status", perhaps, (*Pages).reportStatus},
		{"GET /undo", anybody, (*Pages).undo},
		{"POST /undo", anybody, (*Pages).doUndo},
		{"POST /undo/key", anybody, (*Pages).linkKey},
		{"GET /stop", anybody, (*Pages).stop},
		{"POST /stop", anybody, (*Pages).doStop},
		{"POST /stop/key", anybody, (*Pages).linkKey},
		{"GET /help", anybody, (*Pages).helpIndex},
		{"GET /help/{topic}", anybody, (*Pages).helpTopic},
		{"GET /ours", anybody, (*Pages).ours},
		{"POST /password/strength", anybody, (*Pages).strength},
		{"POST /language", anybody, (*Pages).language},
		{"GET /static/{hash}/{name}", anybody, (*Pages).static},
		{"GET /brand/{colours}", anybody, (*Pages).colours},
		{"GET /logo", anybody, (*Pages).logo},
		{"GET /proof-keys.json", anybody, (*Pages).proofKeys},
		{"GET /call", anybody, (*Pages).call},
		{"GET /call/live", anybody, (*Pages).callLive},

		{"POST /call/prove", session, (*Pages).doProveCall},
		{"POST /call/wrong", session, (*Pages).doWrongCall},
	}
}

// centreRoutes are the security centre's.
func centreRoutes() []route {
	return []route{
		{"GET /security", session, (*Pages).security},
		{"POST /signout", session, (*Pages).doSignOut},
		{"GET /security/two-step", session, (*Pages).twoStep},
		{"GET /security/two-step/off", session, (*Pages).twoStepOff},
		{"POST /security/two-step/off", session, (*Pages).doTwoStepOff},
		{"POST /security/methods/codes", session, (*Pages).doEnable},
		{"POST /security/methods/codes/stop", session, (*Pages).doStopCodes},
		{"POST /security/methods/app", session, (*Pages).doAddApp},
		{"POST /security/methods/passkey", session, (*Pages).doAddKey},
		{"POST /security/methods/default", session, (*Pages).doDefault},
		{"POST /security/methods/rename", session, (*Pages).doRename},
		{"POST /security/methods/remove", session, (*Pages).doRemove},
		{"GET /security/passkeys", session, (*Pages).passkeys},
		{"GET /security/recovery-codes", session, (*Pages).recoveryCodes},
		{"POST /security/recovery-codes", session, (*Pages).doRecoveryCodes},
		{"GET /security/password", session, (*Pages).password},
		{"POST /security/password", session, (*Pages).doPassword},
		{"GET /security/contacts", session, (*Pages).contacts},
		{"POST /security/contacts", session, (*Pages).doAddContact},
		{"POST /security/contacts/confirm", session, (*Pages).doConfirm},
		{"GET /security/devices", session, (*Pages).devices},
		{"POST /security/devices/revoke", session, (*Pages).doRevoke},
		{"GET /security/sessions", session, (*Pages).sessions},
		{"POST /security/sessions/end", session, (*Pages).doEndSession},
		{"GET /security/activity", session, (*Pages).activity},
		{"POST /security/activity/not-me", session, (*Pages).doNotMe},
		{"POST /security/recovery/stop", session, (*Pages).doStopOwn},
		{"GET /security/data", session, (*Pages).data},
		{"GET /security/data/download", session, (*Pages).download},
		{"GET /cases", session, (*Pages).cases},
		{"POST /cases", session, (*Pages).doCase},
		{"GET /cases/{id}", session, (*Pages).oneCase},
		{"POST /cases/{id}", session, (*Pages).doSay},
		{"GET /support/cases", session, (*Pages).staffCases},
		{"GET /support/cases/{id}", session, (*Pages).staffCase},
		{"POST /support/cases/{id}", session, (*Pages).doStaffAnswer},
		{"GET /security/close", session, (*Pages).closing},
		{"POST /security/close", session, (*Pages).doClose},
	}
}

func restRoutes() []route {
	return []route{
		{"GET /{$}", anybody, func(_ *Pages, v *visit) error { return see(v, "/security") }},
		{"GET /", anybody, func(*Pages, *visit) error { return errGone }},
	}
}
