package message

import "strings"

// DecodeText turns the encoded words of RFC 2047 in a header field's text
// into UTF-8 and leaves what can't be decoded, such as a word in an unknown
// charset. White space between encoded words goes; a character that is split
// between two of them is put together. CR, LF and NUL that were encoded become
// spaces, so that the text of one line stays on one line.
func DecodeText(s string) string {
	if !strings.Contains(s, "=?") {
		return s
	}
	d := wordDecoder{}
	for {
		i := strings.Index(s, "=?")
		if i < 0 {
			break
		}
		w, n := cutWord(s[i:])
		if n == 0 {
			n = len("=?")
			d.plain(s[:i+n])
		} else if !d.word(s[:i], w) {
			d.plain(s[:i+n])
		}
		s = s[i+n:]
	}
	d.plain(s)
	return d.out.String()
}

// encodedWord is =?charset?encoding?text?= taken apart.
type encodedWord struct {
	charset  string
	encoding byte // 'b' or 'q'
	text     string
}

// cutWord reads the encoded word that s begins with; n is its length, 0 when
// there is none. Its text may hold spaces, which many write.
func cutWord(s string) (w encodedWord, n int) {
	i := 2
	for i < len(s) && isToken(s[i]) && i < 66 {
		i++
	}
	if i+3 > len(s) || s[i] != '?' || s[i+2] != '?' {
		return w, 0
	}
	w.charset, w.encoding = s[2:i], s[i+1]|0x20
	if w.encoding != 'b' && w.encoding != 'q' {
		return w, 0
	}
	start := i + 3
	end := strings.IndexByte(s[start:], '?')
	if end < 0 || start+end+1 >= len(s) || s[start+end+1] != '=' {
		return w, 0
	}
	w.text = s[start : start+end]
	return w, start + end + 2
}

type wordDecoder struct {
	out     strings.Builder
	charset string // of octets
	octets  []byte // of words that are not yet converted
	after   bool   // a word came last
}

func (d *wordDecoder) plain(s string) {
	d.flush()
	d.out.WriteString(s)
	d.after = false
}

// word takes an encoded word and the text before it; it returns false and
// does nothing when the word can't be decoded.
func (d *wordDecoder) word(before string, w encodedWord) bool {
	if _, known := charsetOf(w.charset); !known {
		return false
	}
	if !d.after || strings.Trim(before, " \t\r\n") != "" {
		d.plain(before)
	}
	if !strings.EqualFold(d.charset, w.charset) {
		d.flush()
	}
	d.charset, d.after = w.charset, true
	if w.encoding == 'b' {
		d.octets = appendBase64(d.octets, w.text)
	} else {
		d.octets = appendQ(d.octets, w.text)
	}
	return true
}

func (d *wordDecoder) flush() {
	if len(d.octets) > 0 {
		d.out.WriteString(clean(toUTF8(d.charset, d.octets)))
		d.octets = d.octets[:0]
	}
}

func appendBase64(b []byte, s string) []byte {
	var q base64Quantum
	b = q.append(b, []byte(s))
	return q.flush(b)
}

// appendQ decodes the "Q" encoding (RFC 2047 §4.2).
func appendQ(b []byte, s string) []byte {
	return appendEscaped(b, []byte(strings.ReplaceAll(s, "_", " ")))
}
