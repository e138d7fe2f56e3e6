package transfer

import (
	"strings"
	"time"

	"github.com/emersion/go-imap/v2"

	"github.com/posthouse-mail/posthouse/storage"
)

// mboxStatus is what an mbox knows of a message beside its content.
type mboxStatus struct {
	system   storage.SystemFlags
	keywords []imap.Flag
	date     time.Time // zero: not known
	internal bool      // the message holds data of another program, and is no mail

	// What Export wrote.
	ends  lineEnds
	added bool // the LF at the end is not the message's
}

// mboxFields are those that describe an mbox and no message.
var mboxFields = []string{statusLine, xStatusLine, keywordsLine, messageLine, "X-UID", "X-IMAPbase", "X-IMAP"}

// fieldOf returns which of mboxFields a header line is, or "", and its value.
func fieldOf(line []byte) (name, value string) {
	for _, name := range mboxFields {
		if len(line) > len(name) && line[len(name)] == ':' && strings.EqualFold(string(line[:len(name)]), name) {
			return name, strings.TrimSpace(string(line[len(name)+1:]))
		}
	}
	return "", ""
}

// take notes what a field says.
func (s *mboxStatus) take(name, value string) {
	switch name {
	case messageLine:
		s.takeMessage(value)
	case statusLine:
		if strings.Contains(value, "R") {
			s.system |= storage.Seen
		}
		if strings.Contains(value, "D") {
			s.system |= storage.Deleted
		}
	case xStatusLine:
		for _, l := range xStatusLetters {
			if strings.IndexByte(value, l.letter) >= 0 {
				s.system |= l.flag
			}
		}
	case keywordsLine:
		for _, k := range strings.Fields(value) {
			s.keywords = append(s.keywords, imap.Flag(k))
		}
	case "X-IMAP":
		s.internal = true
	}
}

// takeMessage reads the line that Export writes. A size is not looked at: who
// changed the message meant to.
func (s *mboxStatus) takeMessage(value string) {
	for _, word := range strings.Fields(value) {
		switch key, value, _ := strings.Cut(word, "="); key {
		case "date":
			if t, err := time.Parse(dateLayout, value); err == nil {
				s.date = storage.TrimDate(t)
			}
		case "lines":
			s.ends = lineEnds(value)
		case "end":
			s.added = value == "added"
		case "keywords":
			s.keywords = append(s.keywords, splitWords(value)...)
		}
	}
}

func (s *mboxStatus) flags() storage.Flags {
	f := storage.NewFlags(s.keywords...)
	f.System = s.system
	return f
}
