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

// appendDate writes a message's date in the form of internalDate.
func appendDate(b []byte, e *entry) []byte {
	t := e.date()
	year, month, dayOfMonth := t.Date()
	b = append(appendTwo(b, dayOfMonth), '-')
	b = append(append(b, month.String()[:3]...), '-')
	b = append(appendTwo(appendTwo(b, year/100), year%100), ' ')
	hour, minute, second := t.Clock()
	b = append(appendTwo(b, hour), ':')
	b = append(appendTwo(b, minute), ':')
	b = append(appendTwo(b, second), ' ')
	zone := int(e.zone)
	if zone < 0 {
		return appendTwo(appendTwo(append(b, '-'), -zone/60), -zone%60)
	}
	return appendTwo(appendTwo(append(b, '+'), zone/60), zone%60)
}

func appendTwo(b []byte, n int) []byte { return append(b, byte('0'+n/10%10), byte('0'+n%10)) }

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
