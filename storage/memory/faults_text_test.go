package memory

import (
	"bytes"
	"context"
	"io"
	"slices"
	"strings"

	"github.com/emersion/go-imap/v2"

	"github.com/posthouse-mail/posthouse/internal/fold"
	"github.com/posthouse-mail/posthouse/message"
	"github.com/posthouse-mail/posthouse/storage/internal/uids"
)

// candidatesOf makes candidates of the messages for which holds is true.
func candidatesOf(holds func(m *mailbox, x *stored, text string) bool) func(*behaviour) {
	return func(b *behaviour) {
		b.candidates = func(m *mailbox, ctx context.Context, text string) (set imap.UIDSet, err error) {
			if _, err := m.TextCandidates(ctx, text); err != nil {
				return nil, err
			}
			m.account.store.inside(func() {
				for i := range m.messages {
					if x := &m.messages[i]; holds(m, x, text) {
						set = uids.Append(set, x.UID)
					}
				}
			})
			return set, nil
		}
	}
}

// rawHolds looks into a message as it came.
func rawHolds(x *stored, text string, change func([]byte) []byte) bool {
	all, _ := io.ReadAll(message.NewReader(x.body))
	return bytes.Contains(change(all), change([]byte(text)))
}

func folded(b []byte) []byte {
	b, _ = fold.Append(nil, b)
	return b
}

var textFaults = []fault{
	{"the last message is no candidate", "Living/Text/FindsWhatJustCame", candidatesOf(func(m *mailbox, x *stored, _ string) bool {
		return x.UID < m.messages[len(m.messages)-1].UID
	})},
	{"candidates are those of one moment", "Living/Text/FindsWhatJustCame Living/Text/FindsCopiesAndMoved", func(b *behaviour) {
		known := make(map[*mailbox]imap.UID)
		b.candidates = func(m *mailbox, ctx context.Context, text string) (imap.UIDSet, error) {
			set, err := m.TextCandidates(ctx, text)
			if known[m] == 0 && len(set) > 0 {
				known[m] = set[0].Stop
			}
			if len(set) > 0 {
				set[0].Stop = known[m]
			}
			return set, err
		}
	}},
	{"texts are searched as they came", "Living/Text/FindsWhateverHoldsTheText", candidatesOf(func(_ *mailbox, x *stored, text string) bool {
		return rawHolds(x, text, folded)
	})},
	{"letter case counts", "Living/Text/FindsWhatJustCame", candidatesOf(func(_ *mailbox, x *stored, text string) bool {
		return rawHolds(x, text, func(b []byte) []byte { return b })
	})},
	{"only whole words are found", "Living/Text/FindsWhateverHoldsTheText Living/Text/FindsWhatJustCame", candidatesOf(func(_ *mailbox, x *stored, text string) bool {
		all, _ := io.ReadAll(message.NewReader(x.body))
		words := strings.Fields(string(folded(all)))
		return !slices.ContainsFunc(strings.Fields(string(folded([]byte(text)))), func(w string) bool { return !slices.Contains(words, w) })
	})},
	{"a deleted mailbox has candidates", "Living/Text/FollowsTheMailboxAndNotTheName", func(b *behaviour) {
		b.candidates = func(*mailbox, context.Context, string) (imap.UIDSet, error) {
			return imap.UIDSet{{Start: 1, Stop: 1 << 20}}, nil
		}
	}},
}
