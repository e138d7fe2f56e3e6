package message

import (
	"bytes"
	"io"
)

// quotedReader decodes quoted-printable (RFC 2045 §6.7) as far as it goes: an
// equals sign that begins no escape stands for itself, one at the end of a
// line or of the content for nothing. White space at the end of a line was
// added on the way and goes.
type quotedReader struct {
	src  io.Reader
	buf  [8 << 10]byte
	win  []byte // read and not yet decoded
	eof  bool
	out  []byte
	rest []byte // the part of out that was not yet read
	err  error
}

func (r *quotedReader) Read(p []byte) (int, error) {
	for len(r.rest) == 0 && len(p) > 0 {
		if len(r.win) == 0 && r.eof {
			return 0, io.EOF
		}
		if r.err != nil {
			return 0, r.err
		}
		r.decode()
	}
	n := copy(p, r.rest)
	r.rest = r.rest[n:]
	return n, nil
}

// decode decodes all lines in the window, or reads more when there is none.
func (r *quotedReader) decode() {
	r.out = r.out[:0]
	for {
		i := bytes.IndexByte(r.win, '\n')
		if i < 0 {
			break
		}
		line := r.win[:i+1]
		r.win = r.win[i+1:]
		r.out = appendQuotedLine(r.out, line)
	}
	switch {
	case len(r.out) > 0:
	case r.eof:
		r.out = appendQuotedLine(r.out, r.win)
		r.win = nil
	case len(r.win) == len(r.buf):
		n := wholeQuoted(r.win)
		r.out = appendEscaped(r.out, r.win[:n])
		r.win = r.win[n:]
	default:
		r.fill()
	}
	r.rest = r.out
}

func (r *quotedReader) fill() {
	n := copy(r.buf[:], r.win)
	m, err := r.src.Read(r.buf[n:])
	r.win = r.buf[:n+m]
	if err == io.EOF {
		r.eof = true
	} else {
		r.err = err
	}
}

// wholeQuoted returns how much of a long line can be decoded before more of
// it is known: not white space at its end, nor the start of an escape. When
// nothing is left the white space is content.
func wholeQuoted(line []byte) int {
	n := len(bytes.TrimRight(line, " \t\r"))
	if i := bytes.LastIndexByte(line[max(0, n-2):n], '='); i >= 0 {
		n = max(0, n-2) + i
	}
	if n == 0 {
		return len(line)
	}
	return n
}

// appendQuotedLine decodes a line with its line end, or the last one without.
func appendQuotedLine(b, line []byte) []byte {
	text, ended := bytes.CutSuffix(line, []byte("\n"))
	if ended {
		text = bytes.TrimSuffix(text, []byte("\r"))
	}
	end := line[len(text):]
	text = bytes.TrimRight(text, " \t")
	if n := len(text) - 1; n >= 0 && text[n] == '=' {
		return appendEscaped(b, text[:n])
	}
	return append(appendEscaped(b, text), end...)
}

// appendEscaped decodes the escapes in text.
func appendEscaped(b, text []byte) []byte {
	for {
		i := bytes.IndexByte(text, '=')
		if i < 0 {
			return append(b, text...)
		}
		b = append(b, text[:i]...)
		text = text[i:]
		if len(text) > 2 {
			if hi, lo := unhex(text[1]), unhex(text[2]); hi >= 0 && lo >= 0 {
				b = append(b, byte(hi<<4|lo))
				text = text[3:]
				continue
			}
		}
		b = append(b, '=')
		text = text[1:]
	}
}
