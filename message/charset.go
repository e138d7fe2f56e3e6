package message

import (
	"strings"

	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/htmlindex"
	"golang.org/x/text/encoding/ianaindex"
	"golang.org/x/text/encoding/unicode"
)

// charsetOf returns the encoding that a label names; it is nil for UTF-8 and
// ASCII, which need none, and for a label that is not known. Labels are read
// as browsers do, since this is how mail is labelled: "gb2312" is GBK and
// "iso-8859-1" is Windows-1252.
func charsetOf(label string) (e encoding.Encoding, known bool) {
	label, _, _ = strings.Cut(label, "*") // a language may follow, RFC 2231 §5
	label = strings.ToLower(strings.TrimSpace(label))
	if len(label) > 64 {
		return nil, false
	}
	switch label {
	case "us-ascii", "ascii", "utf-8", "utf8":
		return nil, true
	case "utf-16":
		return unicode.UTF16(unicode.BigEndian, unicode.UseBOM), true // RFC 2781 §4.3
	}
	e, err := htmlindex.Get(label)
	if err != nil {
		e, err = ianaindex.MIME.Encoding(label)
	}
	switch {
	case err != nil || e == nil || e == encoding.Replacement:
		return nil, false
	case e == unicode.UTF8:
		return nil, true
	}
	return e, true
}

// toUTF8 returns text in UTF-8 when the charset is known, else as it is.
func toUTF8(label string, text []byte) string {
	e, known := charsetOf(label)
	switch {
	case e != nil:
		if decoded, err := e.NewDecoder().Bytes(text); err == nil {
			return string(decoded)
		}
	case known:
		return strings.ToValidUTF8(string(text), "\uFFFD")
	}
	return string(text)
}
