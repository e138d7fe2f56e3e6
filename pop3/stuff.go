package pop3

import (
	"bytes"
	"io"
	"sync"

	"github.com/posthouse-mail/posthouse/message"
)

// allLines is more lines than a message can have.
const allLines = int(^uint(0) >> 1)

const chunkSize = 32 << 10

// chunks are read from a body one at a time, whatever its size.
var chunks = sync.Pool{New: func() any { return new([chunkSize]byte) }}

// stuffer writes content as a multi-line response (RFC 1939 §3): dots at line
// starts are doubled, and "CRLF . CRLF" ends it. After the header it stops
// when no lines are left.
type stuffer struct {
	out    io.Writer
	inLine bool    // the line that the next octet belongs to has begun
	filled bool    // and holds something
	inBody bool    // the empty line has passed
	left   int     // lines of the body that may still be sent
	last   [2]byte // the last octets of content
}

func (s *stuffer) copy(body message.Body) error {
	chunk := chunks.Get().(*[chunkSize]byte)
	defer chunks.Put(chunk)
	r := message.NewReader(body)
	for {
		n, err := r.Read(chunk[:])
		if n > 0 {
			done, werr := s.write(chunk[:n])
			if werr != nil {
				return werr
			}
			if done {
				return s.end()
			}
		}
		if err == io.EOF {
			return s.end()
		}
		if err != nil {
			return err
		}
	}
}

// write sends a piece of content and reports whether no lines are left.
func (s *stuffer) write(p []byte) (done bool, err error) {
	for len(p) > 0 {
		if !s.inLine {
			if s.inBody && s.left == 0 {
				return true, nil
			}
			if err := s.beginLine(p[0]); err != nil {
				return false, err
			}
		}
		piece := p
		end := bytes.IndexByte(p, '\n')
		if end >= 0 {
			piece = p[:end+1]
		}
		s.filled = s.filled || len(bytes.Trim(piece, "\r\n")) > 0
		if err := s.emit(piece); err != nil {
			return false, err
		}
		if end >= 0 {
			s.endLine()
		}
		p = p[len(piece):]
	}
	return false, nil
}

func (s *stuffer) beginLine(first byte) error {
	s.inLine, s.filled = true, false
	if first != '.' {
		return nil
	}
	_, err := io.WriteString(s.out, ".")
	return err
}

func (s *stuffer) endLine() {
	s.inLine = false
	if s.inBody {
		s.left--
	} else {
		s.inBody = !s.filled
	}
}

func (s *stuffer) emit(p []byte) error {
	if len(p) >= 2 {
		s.last = [2]byte(p[len(p)-2:])
	} else {
		s.last = [2]byte{s.last[1], p[0]}
	}
	_, err := s.out.Write(p)
	return err
}

func (s *stuffer) end() error {
	end := ".\r\n"
	if s.last != [2]byte{'\r', '\n'} && s.last != [2]byte{} {
		end = "\r\n.\r\n"
	}
	_, err := io.WriteString(s.out, end)
	return err
}
