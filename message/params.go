package message

import "strings"

// structured walks over the value of a structured field (RFC 2045 §5.1).
type structured struct {
	s string
	i int
}

func (v *structured) done() bool { return v.i >= len(v.s) }

func (v *structured) at(c byte) bool { return v.i < len(v.s) && v.s[v.i] == c }

// skip passes white space and comments.
func (v *structured) skip() {
	for !v.done() {
		switch v.s[v.i] {
		case ' ', '\t', '\r', '\n':
			v.i++
		case '(':
			v.i = commentEnd(v.s, v.i)
		default:
			return
		}
	}
}

// commentEnd returns where the comment that begins at i ends. It nests; one
// without an end goes on to the end of s.
func commentEnd(s string, i int) int {
	depth := 0
	for ; i < len(s); i++ {
		switch s[i] {
		case '\\':
			i++
		case '(':
			depth++
		case ')':
			if depth--; depth == 0 {
				return i + 1
			}
		}
	}
	return len(s)
}

// token reads a token of RFC 2045 §5.1 after white space and comments; it is
// empty when something else stands there.
func (v *structured) token() string {
	v.skip()
	start := v.i
	for !v.done() && isToken(v.s[v.i]) {
		v.i++
	}
	return v.s[start:v.i]
}

func isToken(c byte) bool {
	return c > ' ' && c < 0x7f && strings.IndexByte(`()<>@,;:\"/[]?=`, c) < 0
}

// quoted reads the quoted string that begins here, with its quoting undone.
// One without an end goes on to the end of the field.
func (v *structured) quoted() string {
	inner, rest, escaped := cutQuoted(v.s[v.i:])
	v.i = len(v.s) - len(rest)
	if escaped {
		return unquote(inner)
	}
	return inner
}

// cutQuoted splits s, which begins with a quoted string, behind it; inner is
// what stands between the quotes. escaped reports a backslash in it.
func cutQuoted(s string) (inner, rest string, escaped bool) {
	for i := 1; i < len(s); i++ {
		switch s[i] {
		case '\\':
			escaped = true
			i++
		case '"':
			return s[1:i], s[i+1:], escaped
		}
	}
	return s[1:], "", escaped
}

// unquote undoes quoted pairs. A backslash at the end stands for nothing.
func unquote(s string) string {
	b := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' {
			if i++; i == len(s) {
				break
			}
		}
		b = append(b, s[i])
	}
	return string(b)
}

// parseContentType reads a Content-Type field. A type that can't be used is
// text/plain (RFC 2045 §5.2).
func parseContentType(value string, most int) (typ, subtype string, params []Param) {
	v := &structured{s: value}
	typ = strings.ToLower(v.token())
	if v.skip(); v.at('/') {
		v.i++
		subtype = strings.ToLower(v.token())
	}
	if typ == "" || subtype == "" {
		typ, subtype = "text", "plain"
	}
	return typ, subtype, v.params(most)
}

// parseDisposition reads a Content-Disposition field (RFC 2183 §2).
func parseDisposition(value string, most int) (disposition string, params []Param) {
	v := &structured{s: value}
	disposition = strings.ToLower(v.token())
	if v.skip(); v.at('=') {
		disposition, v.i = "attachment", 0 // RFC 2183 §2.8: a type that is not known
	}
	return disposition, v.params(most)
}

// parseEncoding reads a Content-Transfer-Encoding field (RFC 2045 §6.1).
func parseEncoding(value []byte) string {
	for _, usual := range [...]string{"7bit", "8bit", "base64", "quoted-printable", "binary"} {
		if string(value) == usual {
			return usual
		}
	}
	v := &structured{s: string(value)}
	return strings.ToLower(v.token())
}

// parseLanguages reads a Content-Language field (RFC 3282 §2).
func parseLanguages(value string, most int) (list []string) {
	v := &structured{s: value}
	for !v.done() && len(list) < most {
		if tag := v.token(); tag != "" {
			list = append(list, tag)
		}
		if v.skip(); !v.done() && !isToken(v.s[v.i]) {
			v.i++
		}
	}
	return list
}

// params reads the parameters that follow the value, however they are
// written, most of them at the most.
func (v *structured) params(most int) []Param {
	var buf [8]rawParam
	raw := buf[:0]
	for len(raw) < most {
		for v.skip(); v.at(';'); v.skip() {
			v.i++
		}
		if v.done() {
			break
		}
		start := v.i
		for !v.done() && strings.IndexByte("=; \t\"(", v.s[v.i]) < 0 {
			v.i++
		}
		name := v.s[start:v.i]
		v.skip()
		switch {
		case v.at('='):
			v.i++
			if value := v.paramValue(); name != "" {
				raw = append(raw, newRawParam(name, value))
			}
		case v.at('"'):
			v.quoted()
		}
	}
	return joinParams(raw)
}

// paramValue reads a value: a quoted string, or everything up to the next
// parameter, since many write names of files with spaces and without quotes.
func (v *structured) paramValue() string {
	v.skip()
	if v.at('"') {
		return v.quoted()
	}
	start, end := v.i, v.i
	for !v.done() && !v.at(';') {
		if c := v.s[v.i]; c != ' ' && c != '\t' {
			v.i++
			end = v.i
			continue
		}
		for v.at(' ') || v.at('\t') {
			v.i++
		}
		if v.beginsParam() {
			break
		}
	}
	return withoutComment(v.s[start:end])
}

// beginsParam reports whether "name=" stands here.
func (v *structured) beginsParam() bool {
	i := v.i
	for i < len(v.s) && isToken(v.s[i]) {
		i++
	}
	return i > v.i && i < len(v.s) && v.s[i] == '='
}

// withoutComment takes off a comment at the end of a value. One that is
// followed by more is part of the name of a file.
func withoutComment(value string) string {
	i := strings.Index(value, " (")
	if i < 0 || commentEnd(value, i+1) != len(value) {
		return value
	}
	return strings.TrimRight(value[:i], " \t")
}
