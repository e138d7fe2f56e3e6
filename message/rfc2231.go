package message

import (
	"cmp"
	"slices"
	"strings"
)

// rawParam is a parameter as it stands in the field: name*section*=value
// (RFC 2231 §4.1).
type rawParam struct {
	name     string // in lower case, without section and asterisks
	value    string
	section  int  // -1: none
	extended bool // value is percent-encoded
}

func newRawParam(name, value string) rawParam {
	p := rawParam{name: strings.ToLower(name), value: value, section: -1}
	base, section, ok := strings.Cut(p.name, "*")
	if !ok || base == "" {
		return p
	}
	digits, extended := strings.CutSuffix(section, "*")
	switch n := sectionNumber(digits); {
	case section == "":
		p.name, p.extended = base, true
	case n >= 0:
		p.name, p.section, p.extended = base, n, extended
	}
	return p
}

// sectionNumber returns -1 for what is no number of at most six digits.
func sectionNumber(s string) int {
	if s == "" || len(s) > 6 {
		return -1
	}
	n := 0
	for _, c := range []byte(s) {
		if c < '0' || c > '9' {
			return -1
		}
		n = 10*n + int(c-'0')
	}
	return n
}

// joinParams makes one parameter of all raw ones of one name, in the order in
// which the names first came.
func joinParams(raw []rawParam) []Param {
	if len(raw) == 0 {
		return nil
	}
	params := make([]Param, 0, len(raw))
	for i, p := range raw {
		if !slices.ContainsFunc(params, func(q Param) bool { return q.Name == p.name }) {
			params = append(params, Param{Name: p.name, Value: joinValue(raw[i:])})
		}
	}
	return params
}

// joinValue returns the value of the parameter that raw begins with. An
// extended value is better than sections, and these than a plain one, which
// only is there for those who don't know RFC 2231. Of two of a kind the first
// counts; sections count up to the first gap.
func joinValue(raw []rawParam) string {
	var sections []rawParam
	best := raw[0]
	for _, p := range raw {
		switch {
		case p.name != best.name:
		case p.section >= 0:
			sections = append(sections, p)
		case p.extended && !best.extended || best.section >= 0:
			best = p
		}
	}
	if best.section < 0 && best.extended {
		return decodeExtended([]rawParam{best})
	}
	slices.SortStableFunc(sections, func(a, b rawParam) int { return cmp.Compare(a.section, b.section) })
	sections = slices.CompactFunc(sections, func(a, b rawParam) bool { return a.section == b.section })
	n := 0
	for n < len(sections) && sections[n].section == n {
		n++
	}
	if n > 0 {
		return decodeExtended(sections[:n])
	}
	return best.value
}

// decodeExtended joins the sections of a value. The first one names the
// charset when it is extended: charset'language'value.
func decodeExtended(sections []rawParam) string {
	charset := ""
	var b []byte
	for i, p := range sections {
		value := p.value
		if i == 0 && p.extended {
			if name, rest, ok := strings.Cut(value, "'"); ok {
				if _, text, ok := strings.Cut(rest, "'"); ok {
					charset, value = name, text
				}
			}
		}
		if p.extended {
			b = appendPercentDecoded(b, value)
		} else {
			b = append(b, value...)
		}
	}
	return clean(toUTF8(charset, b))
}

// appendPercentDecoded leaves a percent sign without two digits as it is.
func appendPercentDecoded(b []byte, s string) []byte {
	for i := 0; i < len(s); i++ {
		if s[i] == '%' && i+2 < len(s) {
			hi, lo := unhex(s[i+1]), unhex(s[i+2])
			if hi >= 0 && lo >= 0 {
				b = append(b, byte(hi<<4|lo))
				i += 2
				continue
			}
		}
		b = append(b, s[i])
	}
	return b
}

func unhex(c byte) int {
	switch {
	case '0' <= c && c <= '9':
		return int(c - '0')
	case 'a' <= c && c <= 'f':
		return int(c-'a') + 10
	case 'A' <= c && c <= 'F':
		return int(c-'A') + 10
	}
	return -1
}

// clean puts a space for every CR, LF and NUL.
func clean(s string) string {
	if strings.IndexByte(s, '\r') < 0 && strings.IndexByte(s, '\n') < 0 && strings.IndexByte(s, 0) < 0 {
		return s
	}
	return strings.NewReplacer("\r", " ", "\n", " ", "\x00", " ").Replace(s)
}

// param returns the value of a parameter, empty when there is none.
func param(params []Param, name string) string {
	for _, p := range params {
		if p.Name == name {
			return p.Value
		}
	}
	return ""
}
