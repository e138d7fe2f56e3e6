package imap

import (
	"strings"
	"time"
)

// internalDate is the form of INTERNALDATE (RFC 9051 date-time).
const internalDate = "02-Jan-2006 15:04:05 -0700"

// dateTime reads a date-time in quotes. The day may be padded with a space.
func (p *parser) dateTime() time.Time {
	p.expect('"')
	text := p.quoted()
	if p.err != nil {
		return time.Time{}
	}
	if len(text) == len(internalDate) && text[0] == ' ' {
		text = "0" + text[1:]
	}
	t, err := time.Parse(internalDate, text)
	if err != nil || len(text) != len(internalDate) {
		p.fail("Invalid date")
	}
	return t
}

// day is a date without time and zone, comparable as a number.
type day int

func dayOf(t time.Time) day {
	y, m, d := t.Date()
	return day(y*10000 + int(m)*100 + d)
}

// date reads a date (RFC 9051 date), in quotes or without.
func (p *parser) date() day {
	text := p.astring()
	if p.err != nil {
		return 0
	}
	if strings.Count(text, "-") != 2 {
		p.fail("Invalid date")
		return 0
	}
	t, err := time.Parse("2-Jan-2006", text)
	if err != nil {
		p.fail("Invalid date")
	}
	return dayOf(t)
}
