package pop3

import (
	"bytes"
	"context"
	"io"
	"strings"

	"github.com/posthouse-mail/posthouse/message"
)

// top is TOP (RFC 1939 §7): a message's header and some lines of its body. More
// lines than there are mean all of them; some clients ask for 99999999 to read
// a message without setting \Seen.
func (n *session) top(ctx context.Context, args string) error {
	which, count, _ := strings.Cut(args, " ")
	lines, ok := number(strings.Trim(count, " "))
	if !ok {
		return misunderstood("TOP needs a message number and a number of lines")
	}
	_, e, err := n.drop.entry(which)
	if err != nil {
		return err
	}
	body, err := n.drop.open(ctx, e)
	if err != nil {
		return err
	}
	defer body.Close()
	end, err := endOfTop(body, lines)
	if err != nil {
		return err
	}
	n.ok("Top of the message follows")
	n.send(ctx, e, body, end)
	return nil
}

// endOfTop returns where the header, the empty line and so many lines of the
// body end. Lines end with LF.
func endOfTop(body message.Body, lines int) (int64, error) {
	chunk := chunks.Get().(*[chunkSize]byte)
	defer chunks.Put(chunk)
	scan := topScan{left: lines}
	for off := int64(0); off < body.Size(); {
		p, err := readChunk(body, chunk, off, body.Size())
		if err != nil {
			return 0, err
		}
		if n, found := scan.find(p); found {
			return off + int64(n), nil
		}
		off += int64(len(p))
	}
	return body.Size(), nil
}

// topScan looks for the end of a TOP in pieces of content.
type topScan struct {
	left   int  // lines of the body to come
	inBody bool // the empty line has passed
	line   int  // octets of the line so far, in the header
	cr     bool // the first of them is a CR
}

// find returns how many octets of p belong to the TOP, when that is not all.
func (s *topScan) find(p []byte) (n int, found bool) {
	for n < len(p) {
		if s.inBody && s.left == 0 {
			return n, true
		}
		length := bytes.IndexByte(p[n:], '\n')
		if length < 0 {
			if s.line == 0 {
				s.cr = p[n] == '\r'
			}
			s.line += len(p) - n
			return len(p), false
		}
		if s.inBody {
			s.left--
		} else {
			if s.line == 0 {
				s.cr = p[n] == '\r'
			}
			s.line += length
			s.inBody = s.line == 0 || s.line == 1 && s.cr
		}
		s.line = 0
		n += length + 1
	}
	return n, s.inBody && s.left == 0
}

// readChunk reads the octets of body from off on, at least one, not beyond end.
func readChunk(body io.ReaderAt, chunk *[chunkSize]byte, off, end int64) ([]byte, error) {
	p := chunk[:min(chunkSize, end-off)]
	n, err := body.ReadAt(p, off)
	switch {
	case n > 0:
		return p[:n], nil
	case err == nil || err == io.EOF:
		err = io.ErrUnexpectedEOF
	}
	return nil, &readError{err}
}

// readError is a failure of the store in the middle of a message. It is not
// the connection's, whatever it wraps.
type readError struct{ err error }

func (e *readError) Error() string { return "reading the message: " + e.err.Error() }
