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

// dataWriter writes content as DATA wants it (RFC 5321 §4.5.2): lines end
// with CRLF, a dot at the beginning of one is doubled. A lone LF becomes CRLF
// and a lone CR a space, since nothing else may end a line (§2.3.8).
type dataWriter struct {
	w   *bufio.Writer
	mid bool // a line has begun
	cr  bool // a CR was held back, to see what follows
}

func newDataWriter(w io.Writer, size int64) *dataWriter {
	return &dataWriter{w: bufio.NewWriterSize(w, int(min(size+64, 64<<10)))}
}

var crlf = []byte("\r\n")

// Write writes a piece of content.
func (d *dataWriter) Write(p []byte) (int, error) {
	total := len(p)
	for len(p) > 0 {
		n, err := d.piece(p)
		if err != nil {
			return 0, err
		}
		p = p[n:]
	}
	return total, nil
}

// piece writes the first line of p, or what there is of it, and returns how
// much of p that is.
func (d *dataWriter) piece(p []byte) (int, error) {
	if d.cr {
		d.cr = false
		if p[0] == '\n' {
			return 1, d.endLine()
		}
		if err := d.w.WriteByte(' '); err != nil {
			return 0, err
		}
	}
	if !d.mid && p[0] == '.' {
		if err := d.w.WriteByte('.'); err != nil {
			return 0, err
		}
	}
	d.mid = true
	lf := bytes.IndexByte(p, '\n')
	line := p
	if lf >= 0 {
		line = p[:lf]
	}
	cr := bytes.IndexByte(line, '\r')
	if cr >= 0 && cr != lf-1 { // alone, or at the end of p
		_, err := d.w.Write(p[:cr])
		d.cr = true
		return cr + 1, err
	}
	if cr < 0 {
		if _, err := d.w.Write(line); err != nil || lf < 0 {
			return len(line), err
		}
		return lf + 1, d.endLine()
	}
	_, err := d.w.Write(p[:lf+1])
	d.mid = false
	return lf + 1, err
}

func (d *dataWriter) endLine() error {
	_, err := d.w.Write(crlf)
	d.mid = false
	return err
}

// end ends the last line and the data, and flushes. A CR that is still held
// back is dropped: the line is ended anyway.
func (d *dataWriter) end() error {
	if d.mid {
		_ = d.endLine() // an error stays and comes with the Flush
	}
	_, _ = d.w.WriteString(".\r\n")
	return d.w.Flush()
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

// is7Bit reports whether content has no octets above 127.
func is7Bit(b message.Body) bool {
	r := bufio.NewReaderSize(message.NewReader(b), 16<<10)
	for {
		c, err := r.ReadByte()
		if err != nil || c > 127 {
			return err == io.EOF
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
