// Package shape makes the part index of a message that is kept as a prefix of
// header fields and a body that it shares with others.
package shape

import (
	"strings"

	"github.com/posthouse-mail/posthouse/message"
)

// Index returns the index of prefix and body joined. index is the body's own;
// open gives the joined message when it has to be parsed after all.
func Index(prefix []byte, index *message.Part, open func() (message.OpenBody, error)) (*message.Part, error) {
	if len(prefix) == 0 {
		return index, nil
	}
	if onlyTrace(prefix) {
		return index.Shift(int64(len(prefix))), nil
	}
	content, err := open()
	if err != nil {
		return nil, err
	}
	defer content.Close()
	return message.Parse(content, message.Limits{})
}

// onlyTrace reports whether a prefix holds no field that an index tells of.
func onlyTrace(prefix []byte) bool {
	for f := range message.Fields(prefix) {
		if f.Name == "" || told(f.Name) {
			return false
		}
	}
	return true
}

func told(name string) bool {
	if len(name) > 8 && strings.EqualFold(name[:8], "content-") {
		return true
	}
	switch strings.ToLower(name) {
	case "date", "subject", "in-reply-to", "message-id", "from", "sender", "reply-to", "to", "cc", "bcc", "mime-version":
		return true
	}
	return false
}
