package smtp

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
)

// Bounds of a back end's reply: it costs at most so much memory.
const (
	maxHopLine  = 2048
	maxHopLines = 128
)

var errHopReply = errors.New("not a reply of SMTP")

// hopReply is a reply of a back end (RFC 5321 §4.2). As an error it says that it was
// not the one that was hoped for.
type hopReply struct {
	code  int
	lines []string // at least one, without codes and line ends
}

// Error quotes the first line.
func (r hopReply) Error() string {
	return fmt.Sprintf("back end answers %d %s", r.code, quoted(r.lines[0]))
}

// read reads a reply.
func (h *hop) read() (r hopReply, err error) {
	for more := true; more; {
		line, err := h.link.ReadLine(maxHopLine)
		if err != nil {
			return hopReply{}, err
		}
		var code int
		var text string
		if code, text, more, err = parseReplyLine(line); err != nil {
			return hopReply{}, err
		}
		if len(r.lines) == maxHopLines || r.code != 0 && code != r.code {
			return hopReply{}, fmt.Errorf("%w: codes differ, or it has no end", errHopReply)
		}
		r.code, r.lines = code, append(r.lines, text)
	}
	return r, nil
}

// parseReplyLine reads one line of a reply: "250-text", "250 text" or "250".
func parseReplyLine(line []byte) (code int, text string, more bool, err error) {
	line = bytes.TrimSuffix(bytes.TrimSuffix(line, []byte("\n")), []byte("\r"))
	if len(line) < 3 || line[0] < '2' || line[0] > '5' || len(line) > 3 && line[3] != ' ' && line[3] != '-' {
		return 0, "", false, fmt.Errorf("%w: %s", errHopReply, quoted(string(line)))
	}
	for _, c := range line[:3] {
		if c < '0' || c > '9' {
			return 0, "", false, fmt.Errorf("%w: %s", errHopReply, quoted(string(line)))
		}
		code = code*10 + int(c-'0')
	}
	if len(line) == 3 {
		return code, "", false, nil
	}
	return code, strings.Trim(string(line[4:]), " "), line[3] == '-', nil
}
