package imap

import (
	"encoding/base64"
	"errors"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// errUTF7 says that a name is not in modified UTF-7.
var errUTF7 = errors.New("not in modified UTF-7")

var utf7Base64 = base64.NewEncoding("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+,").WithPadding(base64.NoPadding).Strict()

func utf7Direct(c byte) bool { return c >= 0x20 && c < 0x7f }

// encodeUTF7 writes a UTF-8 name in modified UTF-7 (RFC 3501 §5.1.3). Octets
// that are no UTF-8 become U+FFFD.
func encodeUTF7(name string) string {
	plain := true
	for i := 0; i < len(name) && plain; i++ {
		plain = utf7Direct(name[i]) && name[i] != '&'
	}
	if plain {
		return name
	}
	var out strings.Builder
	for len(name) > 0 {
		n := 0
		for n < len(name) && !utf7Direct(name[n]) {
			n++
		}
		switch {
		case n > 0:
			out.WriteString("&" + encodeShift(name[:n]) + "-")
		case name[0] == '&':
			n = 1
			out.WriteString("&-")
		default:
			n = 1
			out.WriteByte(name[0])
		}
		name = name[n:]
	}
	return out.String()
}

func encodeShift(s string) string {
	units := utf16.Encode([]rune(s))
	b := make([]byte, 0, 2*len(units))
	for _, u := range units {
		b = append(b, byte(u>>8), byte(u))
	}
	return utf7Base64.EncodeToString(b)
}

// decodeUTF7 reads a name in modified UTF-7. It refuses what an encoder must
// not write, so that one name has one encoding in ASCII. Octets above 127 are
// let through: there are clients that send UTF-8 as soon as a server offers
// IMAP4rev2, without enabling it, and nothing else can be meant.
func decodeUTF7(name string) (string, error) {
	if strings.IndexByte(name, '&') < 0 {
		for i := 0; i < len(name); i++ {
			if !utf7Direct(name[i]) && name[i] < utf8.RuneSelf {
				return "", errUTF7
			}
		}
		return name, nil
	}
	var out strings.Builder
	shifted := false // the last thing was a shifted run: another must not follow at once
	for len(name) > 0 {
		if !utf7Direct(name[0]) && name[0] < utf8.RuneSelf {
			return "", errUTF7
		}
		if name[0] != '&' {
			out.WriteByte(name[0])
			name, shifted = name[1:], false
			continue
		}
		end := strings.IndexByte(name, '-')
		if end < 0 {
			return "", errUTF7
		}
		run := name[1:end]
		name = name[end+1:]
		if run == "" {
			out.WriteByte('&')
			shifted = false
			continue
		}
		text, err := decodeShift(run)
		if err != nil || shifted {
			return "", errUTF7
		}
		out.WriteString(text)
		shifted = true
	}
	return out.String(), nil
}

func decodeShift(run string) (string, error) {
	b, err := utf7Base64.DecodeString(run)
	if err != nil || len(b)%2 != 0 {
		return "", errUTF7
	}
	units := make([]uint16, len(b)/2)
	for i := range units {
		units[i] = uint16(b[2*i])<<8 | uint16(b[2*i+1])
	}
	runes := utf16.Decode(units)
	for i, r := range runes {
		direct := r < utf8.RuneSelf && utf7Direct(byte(r))
		if direct || r == utf8.RuneError && !wrote(units, i, runes) {
			return "", errUTF7
		}
	}
	return string(runes), nil
}

// wrote reports whether the replacement character at runes[i] was written by
// the client, and not put there for half a surrogate pair.
func wrote(units []uint16, i int, runes []rune) bool {
	at := 0
	for _, r := range runes[:i] {
		at += utf16.RuneLen(r)
	}
	return units[at] == 0xfffd
}
