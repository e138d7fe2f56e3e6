package mail

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	smtp "github.com/emersion/go-smtp"
	"github.com/stretchr/testify/require"
)

func TestReplyShowsNoReasonToTheClient(t *testing.T) {
	r := ErrTemporary.Because(errors.New("password of the database is wrong"))
	require.NotContains(t, r.PublicText(), "password")
	require.Contains(t, r.Error(), "password", "the log wants to know")
	require.Nil(t, ErrTemporary.Reason, "the shared reply was changed")
}

func TestReplyTextNeverHasALineBreak(t *testing.T) {
	for text, want := range map[string]string{
		"fine":                     "fine",
		"":                         "",
		"a\r\n250 OK":              "a??250 OK",
		"a\nb\x00c\td\x7f\x1b[31m": "a?b?c?d??[31m",
		"grün \u0085\u2028":        "gr?n ??",
		"\xff\xfe":                 "??",
		strings.Repeat("x", 10000): strings.Repeat("x", 490),
	} {
		require.Equal(t, want, (&Reply{Code: 550, Text: text}).PublicText())
	}
}

func FuzzReplyText(f *testing.F) {
	f.Add("a\r\nb")
	f.Fuzz(func(t *testing.T, text string) {
		got := Errorf(550, smtp.NoEnhancedCode, "%s", text).PublicText()
		require.LessOrEqual(t, len(got), maxText)
		for _, c := range []byte(got) {
			require.True(t, c >= ' ' && c <= '~')
		}
	})
}

func TestReplyEnhancedCode(t *testing.T) {
	require.Equal(t, smtp.EnhancedCode{5, 1, 1}, (&Reply{Code: 550, Enhanced: smtp.EnhancedCode{5, 1, 1}}).EnhancedCode())
	require.Equal(t, smtp.EnhancedCode{4, 0, 0}, (&Reply{Code: 451}).EnhancedCode())
	require.Equal(t, smtp.EnhancedCode{5, 0, 0}, (&Reply{Code: 550, Enhanced: smtp.NoEnhancedCode}).EnhancedCode())
	require.Equal(t, "550 5.0.0 no", (&Reply{Code: 550, Text: "no"}).Error())
}

func TestReplyKinds(t *testing.T) {
	err := fmt.Errorf("while delivering: %w", ErrStorage.Because(io.ErrShortWrite))
	require.ErrorIs(t, err, ErrStorage)
	require.ErrorIs(t, err, io.ErrShortWrite)
	require.NotErrorIs(t, err, ErrTemporary)
	require.True(t, ErrStorage.Temporary())
	require.False(t, Errorf(550, smtp.EnhancedCode{5, 1, 1}, "no %s here", "jane").Temporary())
	require.ErrorIs(t, &Reply{Code: 451}, &Reply{Code: 451, Enhanced: smtp.EnhancedCode{4, 0, 0}, Text: "other words"})
}

func TestAsReply(t *testing.T) {
	require.Nil(t, AsReply(nil))

	no := Errorf(550, smtp.EnhancedCode{5, 1, 1}, "no")
	require.Same(t, no, AsReply(fmt.Errorf("wrapped: %w", no)))

	r := AsReply(fmt.Errorf("next hop: %w", &smtp.SMTPError{Code: 552, EnhancedCode: smtp.EnhancedCode{5, 2, 2}, Message: "full"}))
	require.Equal(t, &Reply{Code: 552, Enhanced: smtp.EnhancedCode{5, 2, 2}, Text: "full"}, r)

	for _, err := range []error{io.ErrUnexpectedEOF, &smtp.SMTPError{}, &smtp.SMTPError{Code: 250}, &smtp.SMTPError{Code: 1000}} {
		r = AsReply(err)
		require.ErrorIs(t, r, ErrTemporary)
		require.Equal(t, ErrTemporary.Text, r.PublicText())
		require.Equal(t, err, r.Reason)
	}
}
