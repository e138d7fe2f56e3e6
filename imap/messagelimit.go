package imap

import (
	"slices"
	"strconv"

	"github.com/emersion/go-imap/v2"
)

// messageLimitCapability is MESSAGELIMIT=n where there is a limit (RFC 9738
// §3). It holds for all commands, so there is no SAVELIMIT beside it.
func (s *session) messageLimitCapability() string {
	if s.limits.Messages <= 0 {
		return ""
	}
	return " MESSAGELIMIT=" + strconv.Itoa(s.limits.Messages)
}

// errTooMany refuses a command that must not be done in part.
func (s *session) errTooMany() error {
	return no(imap.ResponseCode("MESSAGELIMIT "+strconv.Itoa(s.limits.Messages)), "Too many messages")
}

// limitMessages cuts spans down to the messages with the highest UIDs, as many
// as one command may process (RFC 9738 §3.1). lowest is the lowest UID among
// these when there are more, else 0; it belongs into the result.
func (s *session) limitMessages(spans []span) (kept []span, lowest imap.UID) {
	left := s.limits.Messages
	if left <= 0 {
		return spans, 0
	}
	for k, p := range slices.Backward(spans) {
		n := p.to - p.from
		if n < left || n == left && k == 0 {
			left -= n
			continue
		}
		kept = slices.Clone(spans[k:])
		kept[0].from = p.to - left
		if left == 0 { // the next span is the first that is kept
			kept = kept[1:]
		}
		return kept, s.view.at(kept[0].from).uid
	}
	return spans, 0
}

// tellMessageLimit says that a command was done in part only: in its answer,
// or before it when that says something else (RFC 9738 §3.1).
func (s *session) tellMessageLimit(o opening, reply result, err error) result {
	code := "MESSAGELIMIT " + strconv.Itoa(s.limits.Messages) + " " + strconv.FormatUint(uint64(reply.lowest), 10)
	text := o.name + " completed for " + strconv.Itoa(s.limits.Messages) + " messages only"
	if err != nil || reply.code != "" {
		s.out.status("*", "NO", code, text)
		return reply
	}
	reply.code, reply.text = code, text
	return reply
}

// messageBudget is how many messages a search may still look at, and which it
// looks at first.
type messageBudget struct {
	limited bool
	left    int
	lowest  imap.UID // that was looked at
	over    bool     // there are more than may be looked at
}

func (s *session) messageBudget() *messageBudget {
	return &messageBudget{limited: s.limits.Messages > 0, left: s.limits.Messages}
}

// order returns the k-th of n messages to look at: with a limit the last comes
// first.
func (b *messageBudget) order(k, n int) int {
	if b.limited {
		return n - 1 - k
	}
	return k
}

// spend takes one message from the budget. It returns false when the search is
// not about the message: that costs nothing, so that a client can go on below
// the lowest UID it was told.
func (b *messageBudget) spend(k key, c *candidate) bool {
	if !b.limited {
		return true
	}
	if k.within != nil && !k.within(c) {
		return false
	}
	if b.left == 0 {
		b.over = true
		return true
	}
	b.left--
	b.lowest = c.entry.uid
	return true
}

// sort puts what was found in the order of the mailbox.
func (b *messageBudget) sort(found []int) {
	if b.limited {
		slices.Reverse(found)
	}
}

// namingKey is a view key that names the messages that a search is about.
func namingKey(match func(c *candidate) bool) key {
	k := viewKey(match)
	k.within = match
	return k
}

// withinAll joins what keys that are joined by AND are about.
func withinAll(keys []key) func(c *candidate) bool {
	var all []func(c *candidate) bool
	for _, k := range keys {
		if k.within != nil {
			all = append(all, k.within)
		}
	}
	if len(all) == 0 {
		return nil
	}
	return func(c *candidate) bool {
		for _, within := range all {
			if !within(c) {
				return false
			}
		}
		return true
	}
}

// withinAny joins what two keys that are joined by OR are about.
func withinAny(a, b key) func(c *candidate) bool {
	if a.within == nil || b.within == nil {
		return nil
	}
	return func(c *candidate) bool { return a.within(c) || b.within(c) }
}

// uidKey reads UIDAFTER and UIDBEFORE (RFC 9738 §3.2).
func uidKey(holds func(have, limit uint32) bool) func(*parser) key {
	return func(p *parser) key {
		p.space()
		limit := p.nzNumber()
		return namingKey(func(c *candidate) bool { return holds(uint32(c.entry.uid), limit) })
	}
}
