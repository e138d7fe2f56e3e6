package transfer

import (
	"bytes"
	"errors"
	"io"

	"github.com/posthouse-mail/posthouse/message"
)

const (
	chunkSize = 64 << 10
	heldSize  = 256 << 10 // a message that small is read into memory once
)

// lineEnds says how a message is kept in a file.
type lineEnds string

const (
	crlf lineEnds = "crlf" // its lines end in CR LF, those of the file in LF
	raw  lineEnds = "raw"  // octet for octet
)

// content is a message on its way to a file.
type content struct {
	body    message.Body
	ends    lineEnds
	written int64 // octets in the file
	whole   bool  // its last octet is an LF, or there is none
}

// reading is the memory in which messages are read, one after the other.
type reading struct{ held, chunk []byte }

// inspect finds out how a message is to be written. The result is good until
// the next call.
func (r *reading) inspect(b message.Body) (content, error) {
	if r.chunk == nil {
		r.held, r.chunk = make([]byte, heldSize), make([]byte, chunkSize)
	}
	if b.Size() <= heldSize {
		n, err := io.ReadFull(message.NewReader(b), r.held[:b.Size()])
		if err != nil && !errors.Is(err, io.EOF) {
			return content{}, err
		}
		b = message.FromBytes(r.held[:n])
	}
	c := content{body: b, ends: crlf, whole: true}
	var cr, lf, pairs int64
	last := byte('\n')
	err := r.each(b, func(p []byte) error {
		cr += int64(bytes.Count(p, []byte{'\r'}))
		lf += int64(bytes.Count(p, []byte{'\n'}))
		pairs += int64(bytes.Count(p, []byte("\r\n")))
		if last == '\r' && p[0] == '\n' {
			pairs++
		}
		last = p[len(p)-1]
		return nil
	})
	c.written, c.whole = b.Size()-pairs, last == '\n'
	if cr != pairs || lf != pairs {
		c.ends, c.written = raw, b.Size()
	}
	return c, err
}

// each hands all of a message to use, piece by piece.
func (r *reading) each(b message.Body, use func(p []byte) error) error {
	in := message.NewReader(b)
	for left := b.Size(); left > 0; {
		n, err := io.ReadFull(in, r.chunk[:min(left, chunkSize)])
		if err != nil {
			return err
		}
		if err := use(r.chunk[:n]); err != nil {
			return err
		}
		left -= int64(n)
	}
	return nil
}

// write writes a message in the form of a file.
func (r *reading) write(w io.Writer, c content) error {
	return r.each(c.body, func(p []byte) error {
		if c.ends == crlf {
			p = dropCR(p)
		}
		_, err := w.Write(p)
		return err
	})
}

// dropCR removes every CR, in place.
func dropCR(p []byte) []byte {
	kept := p[:0]
	for len(p) > 0 {
		n := bytes.IndexByte(p, '\r')
		if n < 0 {
			return append(kept, p...)
		}
		kept, p = append(kept, p[:n]...), p[n+1:]
	}
	return kept
}

// addCR writes what it is given with a CR before each LF that has none.
type addCR struct {
	w    io.Writer
	last byte
}

func (a *addCR) Write(p []byte) (int, error) {
	total := len(p)
	for len(p) > 0 {
		n := bytes.IndexByte(p, '\n')
		line := p
		if n >= 0 {
			line = p[:n]
		}
		if len(line) > 0 {
			a.last = line[len(line)-1]
			if _, err := a.w.Write(line); err != nil {
				return 0, err
			}
		}
		if n < 0 {
			break
		}
		end := []byte("\r\n")
		if a.last == '\r' {
			end = end[1:]
		}
		if _, err := a.w.Write(end); err != nil {
			return 0, err
		}
		a.last, p = '\n', p[n+1:]
	}
	return total, nil
}
