package lexicon

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/stretchr/testify/require"

	"github.com/posthouse-mail/posthouse/internal/fold"
)

// corpus is texts of messages, each in several pieces.
type corpus map[uint32][]string

// random makes texts of few letters, so that much is found, and of what is
// hard: scripts without spaces, marks, letters whose case is special, octets
// that are no UTF-8, and runs that are cut.
func random(r *rand.Rand) string {
	words := []string{
		"a", "b", "aB", "Straße", "STRASSE", "é", "e\u0301", "İ", "ı", "K", "ſ", "漢字", "ひらがな", "ไทย", "한국어", "☃", "1", "007", "_", "-", " ", "\r\n",
		".", "\x00", "\xff", "\xc3", "\xe6\xbc", "\ufffd", "@", strings.Repeat("xy", 20), strings.Repeat("0123456789abcdef", 9), "\U0001d504", "\U00020000",
	}
	var b strings.Builder
	for range r.IntN(30) {
		b.WriteString(words[r.IntN(len(words))])
	}
	return b.String()
}

func randomCorpus(r *rand.Rand, from uint32, n int) corpus {
	c := make(corpus)
	for range n {
		from += 1 + uint32(r.IntN(3))
		for range 1 + r.IntN(3) {
			c[from] = append(c[from], random(r))
		}
	}
	return c
}

func (c corpus) uids() (list []uint32) {
	for uid := range c {
		list = append(list, uid)
	}
	slices.Sort(list)
	return list
}

func (c corpus) build(t testing.TB) *Segment {
	uids := c.uids()
	b := NewBuilder(uids[0])
	for _, uid := range uids {
		require.True(t, b.Takes(uid))
		b.Begin(Doc{uid, uid * 7})
		for i, text := range c[uid] {
			switch i % 3 {
			case 0:
				b.String(text)
			case 1:
				require.NoError(t, b.Read(iotest.OneByteReader(strings.NewReader(text))))
			case 2:
				require.NoError(t, b.Read(iotest.DataErrReader(strings.NewReader(text))))
			}
		}
	}
	var out bytes.Buffer
	require.NoError(t, b.Write(&out, noPause))
	return reopen(t, out.Bytes())
}

func reopen(t testing.TB, b []byte) *Segment {
	s, err := Open(bytes.NewReader(b), int64(len(b)))
	require.NoError(t, err)
	return s
}

func noPause() error { return nil }

// needle is a piece of a text, cut anywhere, mostly between characters.
func needle(r *rand.Rand, c corpus) string {
	uids := c.uids()
	texts := c[uids[r.IntN(len(uids))]]
	text := texts[r.IntN(len(texts))]
	if text == "" {
		return ""
	}
	from := r.IntN(len(text))
	to := from + r.IntN(len(text)-from+1)
	if r.IntN(4) > 0 {
		return strings.ToValidUTF8(text[from:to], "")
	}
	return text[from:to]
}

// holds is what a search must find.
func holds(text, needle string) bool {
	a, _ := fold.Append(nil, []byte(text))
	b, _ := fold.Append(nil, []byte(needle))
	return bytes.Contains(a, b)
}

func requireFinds(t testing.TB, s *Segment, c corpus, text string) {
	t.Helper()
	q := NewQuery(text)
	if q.All() {
		return
	}
	found, err := s.Search(context.Background(), q)
	require.NoError(t, err)
	got := slices.Collect(found.All())
	for uid, texts := range c {
		if slices.ContainsFunc(texts, func(x string) bool { return holds(x, text) }) {
			require.Contains(t, got, uid, "%q in %q", text, texts)
		}
	}
}

func TestWhateverHoldsTheTextIsFound(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 60 {
		c := randomCorpus(r, 3, 30)
		s := c.build(t)
		for range 60 {
			requireFinds(t, s, c, needle(r, c))
			requireFinds(t, s, c, strings.ToUpper(needle(r, c)))
			requireFinds(t, s, c, random(r))
		}
	}
}

func TestMergedSegmentsFindWhatIsLeft(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	for range 30 {
		var parts []*Segment
		left, from := make(corpus), uint32(0)

		var docs []Doc
		for range 1 + r.IntN(4) {
			c := randomCorpus(r, from, 20)
			s := c.build(t)
			parts = append(parts, s)
			from = s.Last + uint32(r.IntN(5))
			for _, uid := range c.uids() {
				if r.IntN(4) > 0 {
					left[uid] = c[uid]
					docs = append(docs, Doc{uid, uid * 7})
				}
			}
		}
		first, last := parts[0].First, parts[len(parts)-1].Last
		alive := NewSet(first, last)
		for uid := range left {
			alive.Add(uid)
		}
		var out bytes.Buffer
		require.NoError(t, Merge(&out, parts, alive, noPause))
		s := reopen(t, out.Bytes())
		require.Equal(t, [2]uint32{first, last}, [2]uint32{s.First, s.Last})
		got, err := s.Docs()
		require.NoError(t, err)
		require.Equal(t, docs, got)
		for range 60 {
			requireFinds(t, s, left, needle(r, left))
			requireFinds(t, s, left, random(r))
		}
	}
}

func TestWordsAreFoundWhereTheyAre(t *testing.T) {
	c := corpus{10: {"Meet me at noon."}, 11: {"An afternoon, or none"}, 12: {"noo n"}, 14: {"漢字 noon"}}
	s := c.build(t)
	for text, want := range map[string][]uint32{
		"noon": {10, 11, 14}, "NOON.": {10, 11, 14}, " noon": {10, 14}, "noon,": {10, 11, 14}, "rnoo": {11}, "me at": {10},
		"meet  me": {10}, "字": {14}, "漢字 no": {14}, "nowhere": nil, "t me a": {10}, " no": {10, 11, 12, 14},
	} {
		found, err := s.Search(t.Context(), NewQuery(text))
		require.NoError(t, err)
		require.Equal(t, want, slices.Collect(found.All()), text)
	}
	for _, text := range []string{"", "o n", "e", " ", "...", "\xe6\xbc", "\x97"} {
		require.True(t, NewQuery(text).All(), "%q", text)
	}
}

func TestManyGroupsAndDenseLists(t *testing.T) {
	c := make(corpus)
	for uid := range uint32(3000) {
		c[uid+1] = []string{fmt.Sprintf("common %x%x odd%d unique%dword", uid*7919, uid*104729, uid%2, uid)}
	}
	s := c.build(t)
	require.Greater(t, len(s.groups), 1)
	count := func(text string) int {
		found, err := s.Search(t.Context(), NewQuery(text))
		require.NoError(t, err)
		return len(slices.Collect(found.All()))
	}
	require.Equal(t, 3000, count("common"))
	require.Equal(t, 1500, count("odd1 "))
	require.Equal(t, 3000, count("dd"))
	for uid := uint32(0); uid < 3000; uid += 13 {
		require.Equal(t, 1, count(fmt.Sprintf("unique%dword", uid)))
		require.Equal(t, 1, count(fmt.Sprintf(" unique%dw", uid)))
	}
}

func TestMessageOfTooManyWordsIsAlwaysFound(t *testing.T) {
	b := NewBuilder(5)
	for uid := range uint32(3) {
		b.Begin(Doc{UID: 5 + uid})
		for i := range maxOwn + 10 {
			if uid != 1 && i == 5 {
				break
			}
			b.String(fmt.Sprint("w", i))
		}
		require.True(t, b.Takes(6+uid))
	}
	require.False(t, b.Takes(5+MaxSpan))
	var out bytes.Buffer
	require.NoError(t, b.Write(&out, noPause))
	found, err := reopen(t, out.Bytes()).Search(t.Context(), NewQuery("nothing"))
	require.NoError(t, err)
	require.Equal(t, []uint32{6}, slices.Collect(found.All()))
}

func TestDamageIsNoticed(t *testing.T) {
	c := randomCorpus(rand.New(rand.NewPCG(5, 6)), 1, 40)
	var out bytes.Buffer
	s := c.build(t)
	alive := NewSet(s.First, s.Last)
	for uid := range c {
		alive.Add(uid)
	}
	require.NoError(t, Merge(&out, []*Segment{s}, alive, noPause))
	whole := out.Bytes()
	for at := range whole {
		b := bytes.Clone(whole)
		b[at] ^= 1 << (at % 8)
		s, err := Open(bytes.NewReader(b), int64(len(b)))
		if err == nil {
			_, err = s.Search(t.Context(), NewQuery("a7"))
		}
		if err == nil {
			_, err = s.Docs()
		}
		if err == nil {
			err = Merge(&out, []*Segment{s}, alive, noPause)
		}
		require.ErrorIs(t, err, ErrDamaged, "octet %d of %d", at, len(b))
	}
	for n := range whole {
		_, err := Open(bytes.NewReader(whole[:n]), int64(n))
		require.ErrorIs(t, err, ErrDamaged)
	}
}

// FuzzSearch looks for a piece of a text among two.
func FuzzSearch(f *testing.F) {
	f.Add("Grü\u00dfe an Alice", "漢字", 3, 9)
	f.Add(strings.Repeat("x", 200), "y", 40, 150)
	f.Fuzz(func(t *testing.T, text, other string, from, to int) {
		from = min(max(from, 0), len(text))
		to = min(max(to, from), len(text))
		c := corpus{1: {other}, 2: {text}}
		requireFinds(t, c.build(t), c, text[from:to])
	})
}
