package imap

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/emersion/go-imap/v2"
	"github.com/stretchr/testify/require"

	"github.com/posthouse-mail/posthouse/message"
	"github.com/posthouse-mail/posthouse/storage"
)

// indexedBox is a mailbox with an index of words that names all messages that
// hold a text, and some that do not.
type indexedBox struct {
	storage.Mailbox
	texts []string // by UID-1
	r     *rand.Rand
	err   error
	asked int
	read  map[imap.UID]bool
}

func (b *indexedBox) TextCandidates(_ context.Context, text string) (imap.UIDSet, error) {
	b.asked++
	if b.err != nil {
		return nil, b.err
	}
	var set imap.UIDSet
	n := newNeedle(text)
	for i, t := range b.texts {
		if n.in(t) || b.r.IntN(20) == 0 {
			set.AddNum(imap.UID(i + 1))
		}
	}
	return set, nil
}

func (b *indexedBox) Open(ctx context.Context, uid imap.UID) (message.OpenBody, error) {
	b.read[uid] = true
	return b.Mailbox.Open(ctx, uid)
}

var indexWords = []string{"alpha", "beta", "gamma", "delta", "eps"}

func indexedSession(t testing.TB, r *rand.Rand, n int) (*session, *indexedBox) {
	texts := make([]string, n)
	word := func() string { return indexWords[r.IntN(len(indexWords))] }
	for i := range texts {
		texts[i] = fmt.Sprintf("Subject: %s %s\r\nFrom: %s@example.test\r\nX-Word: %s\r\n\r\n%s %s\r\n", word(), word(), word(), word(), word(), word())
	}
	s := viewOf(t, texts...)
	box := &indexedBox{Mailbox: s.view.box, texts: texts, r: r, read: map[imap.UID]bool{}}
	return s, box
}

func findKeys(t testing.TB, s *session, keys string) []int {
	t.Helper()
	p := &parser{buf: []byte(keys)}
	k := (&keyParser{parser: p}).all()
	require.NoError(t, p.end(), keys)
	found, err := s.newRun(s.view).find(t.Context(), k)
	require.NoError(t, err, keys)
	return found
}

func randomKeys(r *rand.Rand, depth int) string {
	word := indexWords[r.IntN(len(indexWords))]
	switch k := r.IntN(12); {
	case depth > 0 && k < 2:
		return "NOT " + randomKeys(r, depth-1)
	case depth > 0 && k < 4:
		return "OR " + randomKeys(r, depth-1) + " " + randomKeys(r, depth-1)
	case depth > 0 && k < 7:
		return "(" + randomKeys(r, depth-1) + " " + randomKeys(r, depth-1) + ")"
	case k == 7:
		return fmt.Sprintf("%d:%d", 1+r.IntN(60), 1+r.IntN(60))
	case k == 8:
		return "FUZZY TEXT \"" + word + " " + indexWords[r.IntN(len(indexWords))] + "\""
	}
	return []string{"BODY ", "TEXT ", "SUBJECT ", "FROM ", "HEADER X-Word "}[r.IntN(5)] + word[:1+r.IntN(len(word))]
}

func TestSearchesFindTheSameWithAndWithoutAnIndex(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	r := rand.New(rand.NewPCG(seed, 1))
	s, box := indexedSession(t, r, 80)
	plain := s.view.box
	asked := false
	for range 500 {
		keys := randomKeys(r, 3)
		s.server = quietServer(nil) // nothing is known of the headers
		s.view.box = plain
		want := findKeys(t, s, keys)
		s.server = quietServer(nil)
		s.view.box = box
		require.Equal(t, want, findKeys(t, s, keys), "seed %d: %s", seed, keys)
		require.Equal(t, want, findKeys(t, s, keys), "seed %d, again: %s", seed, keys)
		asked = asked || box.asked > 0
	}
	require.True(t, asked)
}

func TestAnIndexSavesReading(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 1))
	s, box := indexedSession(t, r, 1000)
	s.view.box = box
	require.Empty(t, findKeys(t, s, "BODY nowhere"))
	require.Equal(t, 1, box.asked)
	require.Less(t, len(box.read), 200)
	box.asked = 0
	findKeys(t, s, "1:4 BODY nowhere")
	require.Zero(t, box.asked, "a few messages are read at once")
	findKeys(t, s, `BODY ""`)
	require.Zero(t, box.asked, "every message holds the empty string")
}

func TestASearchGoesOnWhenItsIndexFails(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 1))
	s, box := indexedSession(t, r, 100)
	want := findKeys(t, s, "BODY alpha")
	s.view.box, box.err = box, errors.New("index is broken")
	require.Equal(t, want, findKeys(t, s, "BODY alpha"))
	require.Equal(t, 1, box.asked, "it is not asked again")
}

func TestFuzzyWordsAreBounded(t *testing.T) {
	require.Len(t, fuzzyWords("a b-c, d"), 4)
	require.Empty(t, fuzzyWords(" ,; "))
	require.Empty(t, fuzzyWords(strings.Repeat("a ", maxFuzzyWords+1)))
}
