package processing

import (
	"fmt"
	"strings"

	"github.com/posthouse-mail/posthouse/message"
)

// missingFields returns the Date and Message-ID fields that a submitted
// message lacks (RFC 6409 §8.2, §8.3).
func (p *Processor) missingFields(l *letter) []byte {
	date, id := has(l)
	var b []byte
	if !date {
		b = fmt.Appendf(b, "Date: %s\r\n", l.received.Format(dateLayout))
	}
	if !id {
		b = fmt.Appendf(b, "Message-ID: <%s.%s@%s>\r\n", l.id, newReportID(), p.o.Hostname)
	}
	return b
}

// has reports whether a message has a Date and a Message-ID field. A header
// that can't be read counts as having both: nothing is added blindly.
func has(l *letter) (date, id bool) {
	if l.index != nil && l.index.Envelope != nil {
		return l.index.Envelope.HasDate, l.index.Envelope.HasID
	}
	header, err := readHeader(l.body, maxHeader)
	if err != nil {
		return true, true
	}
	for f := range message.Fields(header) {
		date = date || strings.EqualFold(f.Name, "Date")
		id = id || strings.EqualFold(f.Name, "Message-ID")
	}
	return date, id
}
