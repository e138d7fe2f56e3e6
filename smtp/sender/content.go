package sender

import (
	"bufio"
	"bytes"
	"io"

	"github.com/posthouse-mail/posthouse/message"
)

// maxHeader bounds the search for the end of a header.
const maxHeader = 1 << 20

// source remembers an error of reading, to tell it from one of writing.
type source struct {
	r   io.Reader
	err error
}

func (s *source) Read(p []byte) (int, error) {
	n, err := s.r.Read(p)
	if err != nil && err != io.EOF {
		s.err = err
	}
	return n, err
}

// lines makes content safe for the wire: a lone LF becomes CRLF, a lone CR
// becomes a space (RFC 5321 §2.3.8 forbids both).
type lines struct {
	w  io.Writer
	cr bool // a CR was held back
}

var (
	crlf  = []byte("\r\n")
	space = []byte(" ")
)

// Write writes a piece of content. A CR at its end waits for what follows; at
// the end of the content it is dropped, the line is ended anyway.
func (l *lines) Write(p []byte) (int, error) {
	total := len(p)
	if l.cr && total > 0 {
		l.cr = false
		end := space
		if p[0] == '\n' {
			end, p = crlf, p[1:]
		}
		if _, err := l.w.Write(end); err != nil {
			return 0, err
		}
	}
	for len(p) > 0 {
		n := safe(p)
		if _, err := l.w.Write(p[:n]); err != nil {
			return 0, err
		}
		if n == len(p) {
			break
		}
		end := crlf
		if p[n] == '\r' {
			end = space
		}
		if l.cr = p[n] == '\r' && n+1 == len(p); l.cr {
			break
		}
		if _, err := l.w.Write(end); err != nil {
			return 0, err
		}
		p = p[n+1:]
	}
	return total, nil
}

// safe returns how many octets of p come before its first lone CR or LF, or
// before a CR at its end.
func safe(p []byte) int {
	for i := 0; ; {
		lf := bytes.IndexByte(p[i:], '\n')
		line := p[i:]
		if lf >= 0 {
			line = line[:lf]
		}
		cr := bytes.IndexByte(line, '\r')
		switch {
		case cr < 0 && lf < 0:
			return len(p)
		case cr < 0:
			return i + lf
		case lf < 0 || cr < lf-1:
			return i + cr
		}
		i += lf + 1
	}
}

// isText reports whether content fits into lines: no NUL, no lone CR or LF, no line
// of more than 998 octets (RFC 2045 §2.8).
func isText(b message.Body) bool {
	r := bufio.NewReaderSize(message.NewReader(b), 1000)
	for {
		line, err := r.ReadSlice('\n')
		if err != nil && err != io.EOF {
			return false
		}
		text, ended := bytes.CutSuffix(line, crlf)
		if !ended && err == nil || bytes.IndexByte(text, 0) >= 0 || bytes.IndexByte(text, '\r') >= 0 {
			return false
		}
		if err == io.EOF {
			return true
		}
	}
}

// hasUTF8Header reports whether the header has octets above 127.
func hasUTF8Header(b message.Body) bool {
	r := bufio.NewReader(io.LimitReader(message.NewReader(b), maxHeader))
	for {
		line, err := r.ReadSlice('\n')
		if bytes.ContainsFunc(line, func(c rune) bool { return c > 127 }) {
			return true
		}
		if err != nil && err != bufio.ErrBufferFull || err == nil && len(bytes.TrimRight(line, "\r\n")) == 0 {
			return false
		}
	}
}
