package imap

import (
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"

	"github.com/posthouse-mail/posthouse/message"
)

func previewOf(t testing.TB, text string) string {
	b := message.FromBytes([]byte(text))
	root, err := message.Parse(b, message.Limits{})
	require.NoError(t, err)
	return preview(t.Context(), b, root)
}

func TestPreviewShowsWhatTheSenderWrote(t *testing.T) {
	long := strings.Repeat("word ", 100)
	for name, c := range map[string]struct{ text, want string }{
		"plain":           {"\r\nHello\r\n\r\n  you   there\t!\r\n", "Hello you there !"},
		"quoted lines":    {"\r\n> what?\r\n>> that\r\nThis.\r\n", "This."},
		"only quoted":     {"\r\n> what?\r\n>> that\r\n", "what? that"},
		"signature":       {"\r\nYes.\r\n-- \r\nBob\r\n", "Yes."},
		"nothing":         {"Subject: x\r\n\r\n", ""},
		"no body":         {"", ""},
		"long":            {"\r\n" + long, strings.TrimSpace(long[:200])},
		"charset":         {"Content-Type: text/plain; charset=iso-8859-1\r\n\r\nGr\xfc\xdfe", "Grüße"},
		"broken UTF-8":    {"\r\na\xff\xfeb\xc3", "ab"},
		"invisible":       {"\r\n\ufeff\u200b\u034f\u00ad\x01x\u200cy", "xy"},
		"base64":          {"Content-Transfer-Encoding: base64\r\n\r\nSGVsbG8=\r\n", "Hello"},
		"html":            {"Content-Type: text/html\r\n\r\n<html><head><title>T</title><style>p{}</style></head><body><p>Hello<b>!</b></p><p>M&uuml;ller &amp; Co</p>", "Hello! Müller & Co"},
		"script":          {"Content-Type: text/html\r\n\r\na<script>if (1<2) '</p>'</script>b<!-- c -->d", "a bd"},
		"html quotation":  {"Content-Type: text/html\r\n\r\n<blockquote>old <blockquote>older</blockquote></blockquote>new", "new"},
		"all quotation":   {"Content-Type: text/html\r\n\r\n<blockquote>old</blockquote><br>", "old"},
		"unclosed head":   {"Content-Type: text/html\r\n\r\n<head><title>t</title><body>text", "text"},
		"no tags":         {"Content-Type: text/html\r\n\r\n1 < 2 &bogus; 3 > 2", "1 < 2 &bogus; 3 > 2"},
		"cut tag":         {"Content-Type: text/html\r\n\r\nabc <img src='x", "abc"},
		"picture":         {"Content-Type: image/png\r\n\r\nxx", ""},
		"broken boundary": {"Content-Type: multipart/mixed\r\n\r\ntext", ""},
	} {
		require.Equal(t, c.want, previewOf(t, c.text), name)
	}
}

func TestPreviewPrefersPlainTextAndPassesAttachmentsOver(t *testing.T) {
	part := func(fields, text string) string { return "--x\r\n" + fields + "\r\n" + text + "\r\n" }
	html := part("Content-Type: text/html\r\n", "<i>html</i>")
	for name, c := range map[string]struct{ kind, parts, want string }{
		"alternative":  {"alternative", html + part("", "plain"), "plain"},
		"empty plain":  {"alternative", part("", " ") + html, "html"},
		"mixed":        {"mixed", html + part("", "plain"), "html"},
		"attached":     {"mixed", part("Content-Disposition: attachment\r\n", "no") + part("", "yes"), "yes"},
		"calendar":     {"mixed", part("Content-Type: text/calendar\r\n", "no") + part("", "yes"), "yes"},
		"forwarded":    {"mixed", part("Content-Type: message/rfc822\r\n", "Subject: x\r\n\r\nno"), ""},
		"too many":     {"mixed", strings.Repeat(part("", " "), previewParts) + part("", "never seen"), ""},
		"nested":       {"mixed", "--x\r\nContent-Type: multipart/alternative; boundary=y\r\n\r\n--y\r\n\r\ninner\r\n--y--\r\n", "inner"},
		"related html": {"related", html, "html"},
	} {
		text := "Content-Type: multipart/" + c.kind + "; boundary=x\r\n\r\n" + c.parts + "--x--\r\n"
		require.Equal(t, c.want, previewOf(t, text), name)
	}
}

// FuzzPreview checks that every text has a preview which is short, in UTF-8, and
// in one line.
func FuzzPreview(f *testing.F) {
	for _, seed := range []string{
		"<p>a</p><blockquote>b</blockquote>", "<head><title>", "<!--", "<![CDATA[x]]>", "<script>", "&#x10ffff;&#0;&amp", "> a\n-- \nb", "\xff\xfe", strings.Repeat("<b>", 100),
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		for _, shown := range []string{previewOfHTML(text), previewOfText(string(text))} {
			require.True(t, utf8.ValidString(shown))
			require.LessOrEqual(t, utf8.RuneCountInString(shown), previewLength)
			require.NotContains(t, shown, "\n")
			require.Equal(t, strings.TrimSpace(shown), shown)
		}
	})
}
