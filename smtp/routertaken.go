package smtp

import (
	"crypto/sha256"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/posthouse-mail/posthouse/internal/lru"
	"github.com/posthouse-mail/posthouse/mail"
	"github.com/posthouse-mail/posthouse/message"
)

const (
	takenFor = 24 * time.Hour // since the last attempt
	maxTaken = 1 << 16        // some 7 MB
)

// taken remembers who has a message already that its sender was told to send
// again, because others have it not: a message is known by its reverse-path and
// its content, which are the same when it is sent again. Forgetting makes a
// duplicate, and loses nothing. The zero value is ready.
type taken struct {
	mu  sync.Mutex
	who *lru.Map[copyOf, time.Time] // since when; nil: nobody
}

// copyOf names the copy of a message that a recipient gets.
type copyOf [sha256.Size]byte

// among returns who of the recipients of a message has it; nil: nobody has. The
// content is read only when anybody is remembered.
func (t *taken) among(m *Message) ([]bool, error) {
	t.mu.Lock()
	nobody := t.who == nil || t.who.Len() == 0
	t.mu.Unlock()
	if nobody {
		return nil, nil
	}
	copies, err := copiesOf(m)
	if err != nil {
		return nil, err
	}
	had := make([]bool, len(copies))
	t.mu.Lock()
	defer t.mu.Unlock()
	for i, c := range copies {
		since, ok := t.who.Get(c)
		had[i] = ok && time.Since(since) < takenFor
	}
	return had, nil
}

// note remembers the recipients of a message whose reply is nil.
func (t *taken) note(m *Message, replies []*mail.Reply) error {
	copies, err := copiesOf(m)
	if err != nil {
		return err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.who == nil {
		t.who = lru.New[copyOf, time.Time](maxTaken)
	}
	for i, c := range copies {
		if replies[i] == nil {
			t.who.Put(c, time.Now())
		}
	}
	return nil
}

// copiesOf names the copies of all recipients, in their order.
func copiesOf(m *Message) ([]copyOf, error) {
	content := sha256.New()
	if _, err := io.Copy(content, message.NewReader(m.Body)); err != nil {
		return nil, fmt.Errorf("read the message: %w", err)
	}
	sum := content.Sum(nil)
	copies := make([]copyOf, len(m.Envelope.Recipients))
	for i, r := range m.Envelope.Recipients {
		h := sha256.New()
		fmt.Fprintf(h, "%x\n%s\n%s", sum, m.Envelope.From.Key(), r.To.Key()) // no address has a line end
		h.Sum(copies[i][:0])
	}
	return copies, nil
}
