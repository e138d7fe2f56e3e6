package transfer

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"strings"
	"time"

	"github.com/posthouse-mail/posthouse/message"
)

// mboxLines reads a file line by line. A line that doesn't fit into the buffer
// comes in several pieces.
type mboxLines struct {
	in     *bufio.Reader
	offset int64 // where the piece begins

	piece []byte
	first bool // the piece begins a line
	whole bool // the piece ends a line
	kept  bool // next returns the same piece again
}

func newMboxLines(r io.Reader, offset int64) *mboxLines {
	return &mboxLines{in: bufio.NewReaderSize(r, chunkSize), offset: offset, whole: true}
}

// next moves to the next piece; io.EOF when there is none.
func (l *mboxLines) next() error {
	if l.kept {
		l.kept = false
		return nil
	}
	l.offset += int64(len(l.piece))
	l.first = l.whole
	var err error
	l.piece, err = l.in.ReadSlice('\n')
	l.whole = err == nil
	if errors.Is(err, bufio.ErrBufferFull) || err == io.EOF && len(l.piece) > 0 {
		return nil
	}
	return err
}

// isEmpty reports a line that is nothing but its end.
func (l *mboxLines) isEmpty() bool {
	return l.first && l.whole && len(bytes.TrimRight(l.piece, "\r\n")) == 0
}

const maxFromLine = 1000 // octets

var weekdays = []string{"Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"}

// parseFromLine reads a line that separates messages: "From ", who sent the
// message, and when, in the form of asctime and what became of it. A zone that is
// missing is UTC. ok is false for any other line.
func parseFromLine(line []byte) (date time.Time, ok bool) {
	if len(line) > maxFromLine || !bytes.HasPrefix(line, []byte(fromWord)) {
		return time.Time{}, false
	}
	rest := strings.TrimRight(string(line), "\r\n")
	for at := len(fromWord) - 1; at >= 0 && at < len(rest); {
		rest = strings.TrimLeft(rest[at:], " ")
		for _, day := range weekdays {
			if strings.HasPrefix(rest, day) {
				if date, ok = message.ParseDate(rest); ok {
					return date, true
				}
			}
		}
		at = strings.IndexByte(rest, ' ')
	}
	return time.Time{}, false
}
