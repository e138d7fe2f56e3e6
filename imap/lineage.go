package imap

import (
	"context"
	"hash/maphash"
	"iter"
	"strings"

	"github.com/posthouse-mail/posthouse/message"
)

// messageID stands for the text of a Message-ID: threads ask only which are the
// same. Two messages that differ have the same one as rarely as chance has it,
// and nobody can make it so who does not know the seeds.
type messageID [messageIDSize]byte

const messageIDSize = 16

var idSeeds = [2]maphash.Seed{maphash.MakeSeed(), maphash.MakeSeed()}

func newMessageID(text string) (id messageID) {
	for i, seed := range idSeeds {
		n := maphash.String(seed, text)
		for k := range 8 {
			id[8*i+k] = byte(n >> (8 * k))
		}
	}
	return id
}

// maxReferences bounds the references of one message: of more, the last count,
// which are the nearest.
const maxReferences = 1000

var lineageFields = [...]string{"Message-ID", "References", "In-Reply-To"}

// makeLineage reads the header. The row begins with 1 and the message's own ID,
// or with 0 when it has none, and goes on with those it refers to, the oldest
// first (RFC 5256 §3).
func (c *candidate) makeLineage(ctx context.Context) (string, error) {
	header, err := c.rootHeader(ctx)
	if err != nil {
		return "", err
	}
	var texts [len(lineageFields)]*string
	for f := range message.Fields(header) {
		for i, name := range lineageFields {
			if texts[i] == nil && strings.EqualFold(f.Name, name) {
				text := message.Unfold(f.Raw)
				texts[i] = &text
			}
		}
	}
	own, references, parent := texts[0], texts[1], texts[2]
	row := []byte{0}
	for _, id := range idsOf(own, 1) {
		row[0] = 1
		row = append(row, id[:]...)
	}
	ids := idsOf(references, 1<<20)
	if len(ids) == 0 {
		ids = idsOf(parent, 1)
	}
	for _, id := range ids[max(0, len(ids)-maxReferences):] {
		row = append(row, id[:]...)
	}
	return string(row), nil
}

func idsOf(value *string, most int) (ids []messageID) {
	if value == nil {
		return nil
	}
	for text := range messageIDs(*value) {
		if ids = append(ids, newMessageID(text)); len(ids) == most {
			break
		}
	}
	return ids
}

// lineage is a row of that kind, taken apart.
type lineage struct {
	own  messageID
	has  bool // own is there
	rest string
}

func newLineage(row string) (l lineage) {
	l.has, l.rest = row[0] == 1, row[1:]
	if l.has {
		l.rest = l.rest[copy(l.own[:], l.rest):]
	}
	return l
}

func (l lineage) references() iter.Seq[messageID] {
	return func(yield func(messageID) bool) {
		for rest := l.rest; rest != ""; rest = rest[messageIDSize:] {
			if !yield(messageID([]byte(rest[:messageIDSize]))) {
				return
			}
		}
	}
}

// messageIDs yields the valid message IDs in a field, without the brackets,
// white space and quotes that mean nothing. It takes linear time.
func messageIDs(value string) iter.Seq[string] {
	return func(yield func(string) bool) {
		var id []byte
		open, quoted, at := false, false, -1
		for i := 0; i < len(value); i++ {
			switch c := value[i]; {
			case !open && c != '<':
			case quoted && c == '\\' && i+1 < len(value):
				i++
				id = append(id, value[i])
			case c == '"':
				quoted = !quoted
			case quoted:
				id = append(id, c)
			case c == '<':
				open, id, at = true, id[:0], -1
			case c == '>':
				open = false
				if at > 0 && at < len(id)-1 && !yield(string(id)) {
					return
				}
			case c == ' ' || c == '\t':
			default:
				if c == '@' {
					at = len(id)
				}
				id = append(id, c)
			}
		}
	}
}
