package pop3

import (
	"bytes"
	"io"
	"sync"

	"github.com/posthouse-mail/posthouse/message"
)

const chunkSize = 32 << 10

// chunks are read from a body one at a time, whatever its size.
var chunks = sync.Pool{New: func() any { return new([chunkSize]byte) }}

// stuff writes the octets of body up to end as a multi-line response (RFC 1939
// §3): a dot is put before each that begins a line, and a line with a dot
// alone ends it.
func stuff(w io.Writer, body message.Body, end int64) error {
	chunk := chunks.Get().(*[chunkSize]byte)
	defer chunks.Put(chunk)
	var last [2]byte // the last octets that were sent
	for off := int64(0); off < end; {
		p, err := readChunk(body, chunk, off, end)
		if err != nil {
			return err
		}
		if p[0] == '.' && (off == 0 || last[1] == '\n') {
			if _, err := io.WriteString(w, "."); err != nil {
				return err
			}
		}
		if err := stuffPiece(w, p); err != nil {
			return err
		}
		off += int64(len(p))
		last = [2]byte{last[1], p[len(p)-1]}
		if len(p) > 1 {
			last[0] = p[len(p)-2]
		}
	}
	ending := "\r\n.\r\n"
	if end == 0 || last == [2]byte{'\r', '\n'} {
		ending = ".\r\n"
	}
	_, err := io.WriteString(w, ending)
	return err
}

// stuffPiece writes p with a dot after each LF that stands before a dot.
func stuffPiece(w io.Writer, p []byte) error {
	for {
		i := bytes.Index(p, []byte("\n."))
		if i < 0 {
			_, err := w.Write(p)
			return err
		}
		if _, err := w.Write(p[:i+2]); err != nil {
			return err
		}
		p = p[i+1:] // from the dot on, which is thereby written twice
	}
}
