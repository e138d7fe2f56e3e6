package proxy

import (
	"net/netip"
	"slices"
	"strings"
	"time"
)

// hostHealth is what Health knows of one back end. Health.mu guards it.
type hostHealth struct {
	HostHealth
	recent  []failure // within the window; fewer than twice Health.Failures
	served  time.Time // when a connection or login last succeeded
	probing bool      // while it is down: a login is let through
	credit  float64   // while it recovers: logins that may be tried
	trying  map[*attempt]struct{}
}

// failure is one that counts. network is zero when the back end did not know
// the client.
type failure struct {
	at      time.Time
	network netip.Prefix
}

// admit lets an attempt be made, or not.
func (e *hostHealth) admit(a *attempt, now time.Time, h *Health) error {
	e.ripen(now, h.ramp())
	switch e.State {
	case Down:
		if e.probing || now.Before(e.Next) {
			return e.down()
		}
		e.probing, a.probe = true, true
		e.Next = now.Add(h.interval())
	case Recovering:
		// a tenth at first, all at the end
		e.credit += 0.1 + 0.9*float64(now.Sub(e.Since))/float64(h.ramp())
		if e.credit < 1 {
			return e.down()
		}
		e.credit--
	}
	return nil
}

// ripen makes a back end that has recovered for long enough an ordinary one.
func (e *hostHealth) ripen(now time.Time, ramp time.Duration) {
	if e.State == Recovering && now.Sub(e.Since) >= ramp {
		e.State, e.Since = Up, e.Since.Add(ramp)
	}
}

// succeed notes that a login was served, or refused in order.
func (e *hostHealth) succeed(now time.Time, h *Health) {
	e.served, e.recent = now, nil
	e.Failures, e.Reason = 0, ""
	if e.State != Down {
		return
	}
	h.log().Info("back end answers again", "backend", e.Address, "after", now.Sub(e.Since))
	e.State, e.Since, e.Next = Recovering, now, time.Time{}
	e.credit = 1
}

// fail notes a failure, and whether the back end is down by it.
func (e *hostHealth) fail(a *attempt, s stage, reason error, h *Health) {
	now := time.Now()
	e.Failures++
	e.Reason = shorten(reason.Error())
	if e.State == Down {
		return
	}
	e.ripen(now, h.ramp())
	f := failure{at: now}
	if s == afterIdentity {
		f.network = a.network
	}
	e.remember(f, now, h)
	alone := s == beforeIdentity && (e.State == Recovering || now.Sub(a.began) >= slow && e.served.Before(a.began))
	if alone || e.weight() >= h.failures() {
		e.fall(now, h)
	}
}

// remember keeps a failure, of which one network has a half at most.
func (e *hostHealth) remember(f failure, now time.Time, h *Health) {
	e.recent = slices.DeleteFunc(e.recent, func(old failure) bool { return now.Sub(old.at) > h.window() })
	of := func(old failure) bool { return old.network == f.network }
	same := 0
	for _, old := range e.recent {
		if of(old) {
			same++
		}
	}
	limit := h.failures()
	if f.network.IsValid() {
		limit = (limit + 1) / 2
	}
	if same >= limit {
		oldest := slices.IndexFunc(e.recent, of)
		e.recent = slices.Delete(e.recent, oldest, oldest+1)
	}
	e.recent = append(e.recent, f)
}

// weight returns how many failures count.
func (e *hostHealth) weight() int {
	alone, told := 0, 0
	var first netip.Prefix
	several := false
	for _, f := range e.recent {
		switch {
		case !f.network.IsValid():
			alone++
			continue
		case !first.IsValid():
			first = f.network
		case f.network != first:
			several = true
		}
		told++
	}
	if several {
		return alone + told
	}
	return alone
}

// fall makes the back end down, and cuts short who still tries to connect.
func (e *hostHealth) fall(now time.Time, h *Health) {
	e.State, e.Since, e.Next = Down, now, now.Add(h.interval())
	e.recent = nil
	h.log().Warn("back end is down", "backend", e.Address, "failures", e.Failures, "err", e.Reason, "next", h.interval())
	for a := range e.trying {
		a.over = true
		a.cut(e.down())
	}
	clear(e.trying)
}

// shorten bounds what is kept of an error.
func shorten(s string) string {
	const limit = 300
	if len(s) > limit {
		s = s[:limit]
	}
	return strings.ToValidUTF8(s, "")
}
