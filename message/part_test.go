package message

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestFindCountsAsIMAPDoes(t *testing.T) {
	// The message of RFC 9051 §6.4.5.1.
	msg := "Subject: root\nContent-Type: multipart/mixed; boundary=a\n\n" +
		"--a\nContent-ID: 1\n\n1" +
		"\n--a\nContent-ID: 2\nContent-Type: application/octet-stream\n\n2" +
		"\n--a\nContent-ID: 3\nContent-Type: message/rfc822\n\nSubject: in 3\nContent-Type: multipart/mixed; boundary=b\n\n" +
		"--b\nContent-ID: 3.1\n\n3.1" +
		"\n--b\nContent-ID: 3.2\nContent-Type: application/octet-stream\n\n3.2" +
		"\n--b--" +
		"\n--a\nContent-ID: 4\nContent-Type: multipart/mixed; boundary=c\n\n" +
		"--c\nContent-ID: 4.1\nContent-Type: image/gif\n\n4.1" +
		"\n--c\nContent-ID: 4.2\nContent-Type: message/rfc822\n\nSubject: in 4.2\nContent-Type: multipart/mixed; boundary=d\n\n" +
		"--d\nContent-ID: 4.2.1\n\n4.2.1" +
		"\n--d\nContent-ID: 4.2.2\nContent-Type: multipart/alternative; boundary=e\n\n" +
		"--e\nContent-ID: 4.2.2.1\n\n4.2.2.1" +
		"\n--e\nContent-ID: 4.2.2.2\nContent-Type: text/richtext\n\n4.2.2.2" +
		"\n--e--\n--d--" +
		"\n--c\nContent-ID: 4.3\nContent-Type: message/rfc822\n\nContent-ID: 4.3.1\nSubject: in 4.3\n\n4.3.1" +
		"\n--c--\n--a--\n"
	root := mustParse(t, msg, Limits{})
	for id, path := range map[string][]int{
		"1": {1}, "2": {2}, "3": {3}, "3.1": {3, 1}, "3.2": {3, 2}, "4": {4}, "4.1": {4, 1}, "4.2": {4, 2},
		"4.2.1": {4, 2, 1}, "4.2.2": {4, 2, 2}, "4.2.2.1": {4, 2, 2, 1}, "4.2.2.2": {4, 2, 2, 2},
		"4.3": {4, 3}, "4.3.1": {4, 3, 1},
	} {
		p, ok := root.Find(path)
		require.True(t, ok, id)
		require.Equal(t, id, p.ID)
		if len(p.Parts) == 0 {
			require.Equal(t, id, msg[p.Body:p.End])
		}
	}
	for _, path := range [][]int{{0}, {-1}, {5}, {1, 1}, {2, 1}, {3, 3}, {3, 0}, {3, 1, 1}, {4, 3, 2}, {4, 3, 1, 1}, {4, 2, 2, 2, 1}} {
		_, ok := root.Find(path)
		require.False(t, ok, "%v", path)
	}
	p, ok := root.Find(nil)
	require.True(t, ok)
	require.Same(t, root, p)
}

func TestFindInMessagesWithoutParts(t *testing.T) {
	plain := mustParse(t, "Subject: a\n\nb", Limits{})
	p, ok := plain.Find([]int{1})
	require.True(t, ok)
	require.Same(t, plain, p)
	_, ok = plain.Find([]int{1, 1})
	require.False(t, ok)
	_, ok = plain.Find([]int{2})
	require.False(t, ok)

	forward := mustParse(t, "Content-Type: message/rfc822\n\nSubject: a\n\nb", Limits{})
	p, ok = forward.Find([]int{1})
	require.True(t, ok)
	require.Same(t, forward, p)
	p, ok = forward.Find([]int{1, 1})
	require.True(t, ok)
	require.Same(t, forward.Parts[0], p)
}

func TestShiftIsTheIndexOfTheJoinedMessage(t *testing.T) {
	const prefix = "Return-Path: <a@b>\r\nDelivered-To: c@d\r\n"
	for _, msg := range sampleMessages() {
		p := mustParse(t, msg, Limits{})
		before := mustEncode(t, p)
		shifted := p.Shift(int64(len(prefix)))
		require.Equal(t, mustParse(t, prefix+msg, Limits{}), shifted)
		require.Equal(t, before, mustEncode(t, p), "the first index was changed")
	}
}
