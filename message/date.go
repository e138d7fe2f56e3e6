package message

import (
	"strings"
	"time"
)

const (
	maxDate       = 256 // octets of a Date field that are looked at
	maxDateTokens = 16
)

// ParseDate reads the value of a Date field in its form of today (RFC 5322
// §3.3) and in those that mail is full of: without seconds or weekday, with
// comments, with a year of two or three digits (§4.3), with a named or missing
// zone, as RFC 850, asctime and RFC 3339 write it. A zone that is not known or
// not possible is UTC. ok is false when there is no such day, or its year is
// not between 1900 and 9999.
func ParseDate(s string) (t time.Time, ok bool) {
	d := dateParser{day: -1, year: -1, hour: -1}
	v := structured{s: s[:min(len(s), maxDate)]}
	for range maxDateTokens {
		for v.skip(); v.at(','); v.skip() {
			v.i++
		}
		if v.done() {
			break
		}
		start := v.i
		for !v.done() && strings.IndexByte(" \t\r\n,(", v.s[v.i]) < 0 {
			v.i++
		}
		if !d.token(v.s[start:v.i]) {
			return time.Time{}, false
		}
	}
	return d.time()
}

// dateParser gathers what the tokens say. A number that was not there is -1.
type dateParser struct {
	year, day            int
	month                time.Month
	hour, minute, second int
	nanosecond           int
	pm, am               bool
	zone                 *time.Location
}

func (d *dateParser) token(s string) bool {
	i := strings.IndexAny(s, "-:")
	switch c := s[0]; {
	case (c == '+' || c == '-') && d.hour >= 0:
		d.zone = offset(s)
		return true
	case i > 0 && s[i] == ':':
		return d.clock(s)
	case '0' <= c && c <= '9':
		return d.number(s)
	}
	return d.word(s)
}

// word takes a month, a zone or a weekday. A word that is none of them, like
// the rest of a zone's long name, says nothing.
func (d *dateParser) word(s string) bool {
	switch s = strings.ToLower(s); {
	case s == "am":
		d.am = true
	case s == "pm":
		d.pm = true
	case d.hour >= 0 && d.zone == nil && d.month != 0:
		d.zone = zoneByName(s)
	case d.month == 0:
		d.month = monthByName(s)
	}
	return true
}

// number takes a day, a year, or a date with hyphens: 02-Jan-06, 2006-01-02.
func (d *dateParser) number(s string) bool {
	if a, rest, ok := strings.Cut(s, "-"); ok {
		b, c, ok := strings.Cut(rest, "-")
		if !ok {
			return false
		}
		c, clock, timed := strings.Cut(strings.ToLower(c), "t")
		if timed && !d.clock(clock) {
			return false
		}
		return d.hyphened(a, b, c)
	}
	n, ok := decimal(s)
	switch {
	case !ok:
		return false
	case d.day < 0 && len(s) <= 2:
		d.day = n
	case d.year < 0:
		d.year = fullYear(n, len(s))
	}
	return true
}

func (d *dateParser) hyphened(a, b, c string) bool {
	first, ok1 := decimal(a)
	last, ok2 := decimal(c)
	if !ok1 || !ok2 {
		return false
	}
	if len(a) > 2 { // the year comes first
		d.year, d.day = first, last
	} else {
		d.year, d.day = fullYear(last, len(c)), first
	}
	if n, ok := decimal(b); ok {
		d.month = time.Month(n)
		return len(a) > 2
	}
	d.month = monthByName(strings.ToLower(b))
	return true
}

// clock takes 15:04, 15:04:05 and 15:04:05.999, with a zone right behind it.
func (d *dateParser) clock(s string) bool {
	if i := strings.IndexAny(s, "+-zZ"); i > 0 {
		if d.zone = time.UTC; s[i]|0x20 != 'z' {
			d.zone = offset(s[i:])
		}
		s = s[:i]
	}
	if i := len(s) - 2; i > 0 && (strings.EqualFold(s[i:], "am") || strings.EqualFold(s[i:], "pm")) {
		d.word(s[i:])
		s = s[:i]
	}
	hour, rest, _ := strings.Cut(s, ":")
	minute, rest, seconds := strings.Cut(rest, ":")
	second, fraction, _ := strings.Cut(rest, ".")
	if !seconds {
		second = "0"
	}
	var ok1, ok2, ok3 bool
	d.hour, ok1 = decimal(hour)
	d.minute, ok2 = decimal(minute)
	d.second, ok3 = decimal(second)
	if n, ok := decimal(fraction); ok {
		for range 9 - len(fraction) {
			n *= 10
		}
		d.nanosecond = n
	}
	return ok1 && ok2 && ok3
}

func (d *dateParser) time() (t time.Time, ok bool) {
	if d.pm && d.hour < 12 {
		d.hour += 12
	} else if d.am && d.hour == 12 {
		d.hour = 0
	}
	switch {
	case d.year < 1900 || d.year > 9999 || d.month < 1 || d.month > 12 || d.day < 1:
		return t, false
	case d.hour < 0:
		d.hour = 0 // a date without a time
	case d.hour > 23 || d.minute > 59 || d.second > 60:
		return t, false
	}
	if d.zone == nil {
		d.zone = time.UTC
	}
	t = time.Date(d.year, d.month, d.day, d.hour, d.minute, d.second, d.nanosecond, d.zone)
	if day := time.Date(d.year, d.month, d.day, 0, 0, 0, 0, time.UTC); day.Day() != d.day {
		return time.Time{}, false
	}
	return t, true
}

// decimal reads a number of at most nine digits.
func decimal(s string) (n int, ok bool) {
	if s == "" || len(s) > 9 {
		return 0, false
	}
	for _, c := range []byte(s) {
		if c < '0' || c > '9' {
			return 0, false
		}
		n = 10*n + int(c-'0')
	}
	return n, true
}

// fullYear applies RFC 5322 §4.3 to a year of fewer than four digits.
func fullYear(n, digits int) int {
	switch {
	case digits <= 2 && n < 50:
		return 2000 + n
	case digits <= 3:
		return 1900 + n
	}
	return n
}

func monthByName(s string) time.Month {
	if len(s) < 3 {
		return 0
	}
	i := strings.Index("janfebmaraprmayjunjulaugsepoctnovdec", s[:3])
	if i < 0 || i%3 != 0 {
		return 0
	}
	return time.Month(i/3 + 1)
}

// offset reads +hhmm, also with a colon or without minutes.
func offset(s string) *time.Location {
	n, ok := decimal(strings.ReplaceAll(s[1:], ":", ""))
	if len(s) <= 3 {
		n *= 100
	}
	hours, minutes := n/100, n%100
	if !ok || hours > 23 || minutes > 59 || n == 0 {
		return time.UTC
	}
	seconds := (hours*60 + minutes) * 60
	if s[0] == '-' {
		seconds = -seconds
	}
	return time.FixedZone("", seconds)
}

// zoneByName knows the zones of RFC 5322 §4.3; nil is any other word. Military
// letters say nothing that can be relied on, Z excepted.
func zoneByName(s string) *time.Location {
	if len(s) > 4 && (s[:3] == "gmt" || s[:3] == "utc") && (s[3] == '+' || s[3] == '-') {
		return offset(s[3:])
	}
	switch s {
	case "ut", "gmt", "utc", "z":
		return time.UTC
	case "edt":
		return time.FixedZone("EDT", -4*3600)
	case "est":
		return time.FixedZone("EST", -5*3600)
	case "cdt":
		return time.FixedZone("CDT", -5*3600)
	case "cst":
		return time.FixedZone("CST", -6*3600)
	case "mdt":
		return time.FixedZone("MDT", -6*3600)
	case "mst":
		return time.FixedZone("MST", -7*3600)
	case "pdt":
		return time.FixedZone("PDT", -7*3600)
	case "pst":
		return time.FixedZone("PST", -8*3600)
	}
	return nil
}
