package queue

import (
	"fmt"
	"strings"

	"github.com/posthouse-mail/posthouse/mail"
)

// Limits of what a message may ask of a queue.
const (
	MaxRecipients  = 100_000 // of one message
	MaxDestination = 512     // octets of one destination's name
)

// Check reports whether every queue can take m: it has recipients, at most
// MaxRecipients, and as many destinations as recipients or none; each
// destination is not empty, has at most MaxDestination octets and no NUL.
// Errors are of kind ErrBadMessage.
func (m *Message) Check() error {
	n := len(m.Envelope.Recipients)
	switch {
	case n == 0:
		return fmt.Errorf("%w: no recipients", ErrBadMessage)
	case n > MaxRecipients:
		return fmt.Errorf("%w: %d recipients", ErrBadMessage, n)
	case m.Destinations != nil && len(m.Destinations) != n:
		return fmt.Errorf("%w: %d destinations for %d recipients", ErrBadMessage, len(m.Destinations), n)
	}
	for i := range m.Envelope.Recipients {
		if d := m.Destination(i); d == "" || len(d) > MaxDestination || strings.IndexByte(d, 0) >= 0 {
			return fmt.Errorf("%w: recipient %d has no usable destination", ErrBadMessage, i)
		}
	}
	return nil
}

// Destination returns what recipient i is grouped by: its entry of
// Destinations, or the key of its domain.
func (m *Message) Destination(i int) string {
	if m.Destinations != nil {
		return m.Destinations[i]
	}
	return mail.DomainKey(m.Envelope.Recipients[i].To.Domain())
}
