// Package utf7 writes and reads mailbox names in modified UTF-7 (RFC 3501
// §5.1.3), as IMAP4rev1 and Maildir folders have them.
package utf7

import (
	"encoding/base64"
	"errors"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// ErrInvalid says that a name is not in modified UTF-7.
var ErrInvalid = errors.New("not in modified UTF-7")

var alphabet = base64.NewEncoding("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+,").WithPadding(base64.NoPadding).Strict()

func direct(c byte) bool { return c >= 0x20 && c < 0x7f }

// Encode writes a UTF-8 name in modified UTF-7 (RFC 3501 §5.1.3). Octets
// that are no UTF-8 become U+FFFD.
func Encode(name string) string {
	plain := true
	for i := 0; i < len(name) && plain; i++ {
		plain = direct(name[i]) && name[i] != '&'
	}
	if plain {
		return name
	}
	var out strings.Builder
	for len(name) > 0 {
		n := 0
		for n < len(name) && !direct(name[n]) {
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
	return alphabet.EncodeToString(b)
}

// Decode reads a name in modified UTF-7. It refuses what an encoder must
// not write, so that one name has one encoding in ASCII. Octets above 127 are
// let through: there are clients that send UTF-8 as soon as a server offers
// IMAP4rev2, without enabling it, and nothing else can be meant.
func Decode(name string) (string, error) {
	if strings.IndexByte(name, '&') < 0 {
		for i := 0; i < len(name); i++ {
			if !direct(name[i]) && name[i] < utf8.RuneSelf {
				return "", ErrInvalid
			}
		}
		return name, nil
	}
	var out strings.Builder
	shifted := false // the last thing was a shifted run: another must not follow at once
	for len(name) > 0 {
		if !direct(name[0]) && name[0] < utf8.RuneSelf {
			return "", ErrInvalid
		}
		if name[0] != '&' {
			out.WriteByte(name[0])
			name, shifted = name[1:], false
			continue
		}
		end := strings.IndexByte(name, '-')
		if end < 0 {
			return "", ErrInvalid
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
			return "", ErrInvalid
		}
		out.WriteString(text)
		shifted = true
	}
	return out.String(), nil
}

func decodeShift(run string) (string, error) {
	b, err := alphabet.DecodeString(run)
	if err != nil || len(b)%2 != 0 {
		return "", ErrInvalid
	}
	units := make([]uint16, len(b)/2)
	for i := range units {
		units[i] = uint16(b[2*i])<<8 | uint16(b[2*i+1])
	}
	runes := utf16.Decode(units)
	for i, r := range runes {
		plain := r < utf8.RuneSelf && direct(byte(r))
		if plain || r == utf8.RuneError && !wrote(units, i, runes) {
			return "", ErrInvalid
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
