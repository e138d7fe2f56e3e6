package transfer

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"

	"github.com/emersion/go-imap/v2"

	"github.com/posthouse-mail/posthouse/storage"
)

// state is what Export keeps with a mailbox. All up to it is durable.
type state struct {
	Name        string       `json:"name"`
	Attrs       []string     `json:"attrs,omitempty"` // special use
	Kind        storage.Kind `json:"kind,omitempty"`  // 0: not known
	UIDValidity uint32       `json:"uidvalidity"`
	UID         imap.UID     `json:"uid"`              // the last that was written
	Messages    int64        `json:"messages"`         // that were written
	Offset      int64        `json:"offset,omitempty"` // where the next one begins in an mbox
	Tail        string       `json:"tail,omitempty"`   // a sum of what stands before it there
}

// made is what a mailbox was made with.
func (s *state) made() storage.NewMailbox {
	n := storage.NewMailbox{Kind: s.Kind, Attrs: make([]imap.MailboxAttr, len(s.Attrs))}
	for i, a := range s.Attrs {
		n.Attrs[i] = imap.MailboxAttr(a)
	}
	return n
}

// readState returns nil when there is no state.
func readState(path string) (*state, error) {
	content, err := readSmall(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	s := &state{}
	if err := json.Unmarshal(content, s); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return s, nil
}

func (f files) writeState(path string, s *state) error {
	content, err := json.Marshal(s)
	if err != nil {
		return err
	}
	return f.replace(path, append(content, '\n'))
}
