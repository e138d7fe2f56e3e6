package smtp

import (
	"bytes"

	"github.com/posthouse-mail/posthouse/mail"
)

// headerScan watches the header of a message go by: its size, its fields and
// how often it was received, and where it ends. Its zero value stands before
// the first octet.
type headerScan struct {
	size   int // octets so far, the empty line included
	done   bool
	fields int
	hops   int // Received fields

	line   int      // octets of the current line so far
	prefix [10]byte // the first of them
}

var received = []byte("received:")

// scan takes the next piece of the message and returns how many of its
// octets are header.
func (h *headerScan) scan(p []byte) int {
	total := 0
	for len(p) > 0 && !h.done {
		n := bytes.IndexByte(p, '\n') + 1
		ended := n > 0
		if !ended {
			n = len(p)
		}
		if h.line < len(h.prefix) {
			copy(h.prefix[h.line:], p[:n])
		}
		h.line += n
		total += n
		p = p[n:]
		if ended {
			h.endLine()
		}
	}
	h.size += total
	return total
}

func (h *headerScan) endLine() {
	start := h.prefix[:min(h.line, len(h.prefix))]
	h.line = 0
	switch {
	case start[0] == '\n' || len(start) == 2 && start[0] == '\r':
		h.done = true
	case start[0] == ' ' || start[0] == '\t':
	default:
		h.fields++
		if len(start) >= len(received) && bytes.EqualFold(start[:len(received)], received) {
			h.hops++
		}
	}
}

// within returns the refusal of a header that exceeds l.
func (h *headerScan) within(l *Limits) *mail.Reply {
	switch {
	case h.size > l.Header || h.fields > l.HeaderFields:
		return errHeaderTooBig
	case h.hops > l.ReceivedHops:
		return errLoop
	}
	return nil
}
