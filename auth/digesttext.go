package auth

import (
	"strings"
	"unicode/utf8"
)

// parseDirectives reads the list of a digest-response: name=value or
// name="value", with commas between. None may be there twice.
func parseDirectives(text string) (map[string]string, error) {
	d := make(map[string]string)
	for rest := strings.Trim(text, digestSpace+","); rest != ""; rest = strings.TrimLeft(rest, digestSpace+",") {
		name, after, ok := strings.Cut(rest, "=")
		name = strings.ToLower(strings.Trim(name, digestSpace))
		value, next, valid := cutDirective(strings.TrimLeft(after, digestSpace))
		if _, twice := d[name]; !ok || !valid || twice || name == "" || strings.ContainsAny(name, digestSpace+`",`) {
			return nil, malformed("not directives of DIGEST-MD5")
		}
		d[name] = value
		rest = strings.TrimLeft(next, digestSpace)
		if rest != "" && rest[0] != ',' {
			return nil, malformed("not directives of DIGEST-MD5")
		}
	}
	return d, nil
}

const digestSpace = " \t\r\n"

// cutDirective takes a value off.
func cutDirective(text string) (value, rest string, ok bool) {
	if !strings.HasPrefix(text, `"`) {
		end := strings.IndexAny(text, digestSpace+`,"`)
		if end < 0 {
			end = len(text)
		}
		return text[:end], text[end:], end > 0
	}
	var b strings.Builder
	for i := 1; i < len(text); i++ {
		switch text[i] {
		case '"':
			return b.String(), text[i+1:], true
		case '\\':
			if i++; i == len(text) {
				return "", "", false
			}
		}
		b.WriteByte(text[i])
	}
	return "", "", false
}

// digestText returns a value in UTF-8. Without a charset it was ISO 8859-1;
// another than UTF-8 is refused.
func digestText(value, charset string) (string, error) {
	switch {
	case charset == "":
		runes := make([]rune, len(value))
		for i := range len(value) {
			runes[i] = rune(value[i])
		}
		return string(runes), nil
	case !strings.EqualFold(charset, "utf-8") || !utf8.ValidString(value):
		return "", malformed("another charset than UTF-8")
	}
	return value, nil
}

// latin1 writes text in ISO 8859-1 where that can, and leaves it else.
func latin1(text string) string {
	b := make([]byte, 0, len(text))
	for _, r := range text {
		if r > 0xFF {
			return text
		}
		b = append(b, byte(r))
	}
	return string(b)
}
