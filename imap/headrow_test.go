package imap

import (
	"bytes"
	"context"
	"slices"
	"strings"
	"testing"

	"github.com/emersion/go-imap/v2"
	"github.com/stretchr/testify/require"

	"github.com/posthouse-mail/posthouse/message"
)

var headers = []string{
	"Subject: one\r\nFrom: a@b\r\nSUBJECT: two\r\n\r\nSubject: three\r\n",
	"subject: =?utf-8?q?Gr=C3=BC=C3=9Fe?=\r\n =?utf-8?q?_aus?= Wien\r\nTo: =?iso-8859-1?q?J=FCrgen?= <j@x>, (comment) \"A, B\" <k@y>\r\n\r\n",
	"From: \xe9t\xe9 raw <r@x>\r\nCc: team: a@b, c@d;\r\nBcc:\r\nTo:\r\n\r\n",
	"Subject : spaced name\nFrom: bare lines <l@x>\n\nbody",
	"no field\r\n folded\r\nSubject:\tx\r\n\ty\r\n z",
	"\r\nSubject: body only\r\n", "", "\n", "Subject: \x00nul\rcr\r\n\r\n", "Subject: a\r\n\r\r\nTo: b\r\n\n\n",
	strings.Repeat("X-Filler: 0123456789\r\n", 500) + "Subject: far away\r\n\r\n",
}

// holdsByHeader is what a search without rows finds in a header field.
func holdsByHeader(t testing.TB, text, name string, n *needle) bool {
	root, err := message.Parse(message.FromBytes([]byte(text)), message.Limits{})
	require.NoError(t, err)
	for f := range message.Fields([]byte(text)[:root.Body]) {
		if strings.EqualFold(f.Name, name) && n.in(message.DecodeText(message.Unfold(f.Raw))) {
			return true
		}
	}
	return false
}

func checkRows(t testing.TB, text, wanted string) {
	root, err := message.Parse(message.FromBytes([]byte(text)), message.Limits{})
	require.NoError(t, err)
	c := &candidate{body: nopCloser{message.FromBytes([]byte(text))}}
	header, err := c.rootHeader(context.Background())
	require.NoError(t, err)
	if root.Body <= maxHeader && string(header) != text[:root.Body] {
		t.Fatalf("%q: header %q", text, header)
	}
	row, err := c.makeTexts(context.Background())
	require.NoError(t, err)
	n := newNeedle(wanted)
	for i, name := range textFields {
		if got, want := rowHolds(row, textField(i), n), holdsByHeader(t, text, name, n); got != want {
			t.Fatalf("%q in %s of %q: %v", wanted, name, text, got)
		}
	}
}

type nopCloser struct{ message.Body }

func (nopCloser) Close() error { return nil }

func TestRowsHoldWhatHeadersHold(t *testing.T) {
	for _, text := range headers {
		for _, wanted := range []string{"", "one", "TWO", "three", "grüsse", "grüße aus w", "jürgen", "a, b", "(comment)", "<j@x>", "\xe9t\xe9", "team:", "\n", "one\ntwo", "far away", "x\ty", "nul cr"} {
			checkRows(t, text, wanted)
		}
	}
}

// FuzzRows compares rows with the headers that they are made of.
func FuzzRows(f *testing.F) {
	for _, text := range headers[:10] {
		f.Add([]byte(text), "e")
	}
	f.Fuzz(func(t *testing.T, text []byte, wanted string) { checkRows(t, string(text), wanted) })
}

func TestHeadingsFollowRFC5957(t *testing.T) {
	s := viewOf(t,
		"From: =?utf-8?q?J=C3=BCrgen?= <j@x>\r\nTo: plain@example.test\r\n\r\n",
		"From: friends: a@b, c@d;\r\nTo: \"Quoted, Name\" <q@x>\r\nCc: Second <second@x>\r\n\r\n",
		"\r\n")
	c := &candidate{run: s.newRun(s.view), view: s.view}
	c.take(0)
	h, err := c.heading(t.Context())
	require.NoError(t, err)
	require.Equal(t, heading{from: "j", to: "plain", showFrom: "Jürgen", showTo: "plain@example.test"}, h)
	c.take(1)
	h, err = c.heading(t.Context())
	require.NoError(t, err)
	require.Equal(t, heading{from: "friends", to: "q", cc: "second", showFrom: "friends", showTo: "Quoted, Name"}, h)
	c.take(2)
	h, err = c.heading(t.Context())
	require.NoError(t, err)
	require.Zero(t, h)
}

func TestCollationIgnoresCaseAndTakesCharactersApart(t *testing.T) {
	words := []string{"zebra", "Äpfel", "apfel", "éclair", "Zebra", "ECLAIR", "\uff21pfel2"}
	slices.SortStableFunc(words, func(a, b string) int { return strings.Compare(collated(a), collated(b)) })
	require.Equal(t, []string{"apfel", "\uff21pfel2", "Äpfel", "ECLAIR", "éclair", "zebra", "Zebra"}, words)
	require.LessOrEqual(t, len(collated(strings.Repeat("ü", 10_000))), maxCollated)
}

func TestHeadCacheStaysWithinItsBoundAndForgetsTheOldest(t *testing.T) {
	var c headCache
	row := strings.Repeat("x", 100)
	fill := func(box int) *sheet {
		s := c.open(sheetID{box: 1 << 40, validity: uint32(box)}, 100, 10_000)
		for uid := range imap.UID(20) {
			s.put(uid+1, row)
		}
		return s
	}
	first, second := fill(1), fill(2)
	require.Equal(t, row, first.get(20))
	require.Equal(t, c.size, first.size+second.size)
	third, fourth := fill(3), fill(4)
	require.LessOrEqual(t, c.size, int64(10_000))
	require.Less(t, len(c.sheets), 4)
	require.Equal(t, row, fourth.get(1))
	first.put(64, row)
	require.Empty(t, first.get(64), "a sheet that was dropped keeps nothing")
	require.NotEqual(t, third, c.open(sheetID{box: 9}, 0, 10_000))
	huge := c.open(sheetID{box: 5}, 100, 10_000)
	for uid := range imap.UID(1000) {
		huge.put(uid+1, row)
	}
	require.LessOrEqual(t, c.size, int64(10_000))
	huge.put(1, strings.Repeat("y", maxRow+1))
	require.Equal(t, row, huge.get(1))
}

func TestHeadCacheForgetsMailboxesOfExpungedMessages(t *testing.T) {
	var c headCache
	id := sheetID{box: 1}
	s := c.open(id, 5000, 64<<20)
	for uid := range imap.UID(3000) {
		s.put(uid+1, "row")
	}
	require.Equal(t, s, c.open(id, 2000, 64<<20))
	require.NotSame(t, s, c.open(id, 10, 64<<20))
	require.Zero(t, c.size)
}

func TestNegativeSearchMemoryKeepsNothing(t *testing.T) {
	s := viewOf(t, plainMessage)
	s.limits.SearchMemory = -1
	run := s.newRun(s.view)
	p := &parser{buf: []byte("SUBJECT lunch")}
	found, err := run.find(t.Context(), (&keyParser{parser: p}).all())
	require.NoError(t, err)
	require.Equal(t, []int{0}, found)
	require.Zero(t, s.server.heads.size)
	require.Empty(t, run.sheet(textRow).get(1))
}

func TestHeaderEndsAtTheFirstEmptyLine(t *testing.T) {
	for text, want := range map[string]int{"": 0, "a": 0, "a\r\n": 0, "\r\n": 2, "\nx": 1, "a\r\n\r\nb": 5, "a\n\nb": 3, "a\n\r\nb": 4, "a\r\n\r": 0} {
		require.Equal(t, want, headerEnd([]byte(text)), "%q", text)
		require.True(t, bytes.HasPrefix([]byte(text), []byte(text)[:want]))
	}
}
