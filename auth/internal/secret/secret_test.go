package secret

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestASecretFitsItsOwnHashAndNoOther(t *testing.T) {
	a, b := Letters(28), Letters(28)
	require.NotEqual(t, a, b)
	hash := Hash(a)
	require.NotContains(t, hash, a)
	require.NotEqual(t, hash, Hash(a), "each has a salt of its own")
	require.True(t, Matches(hash, a))
	for _, other := range []string{b, "", a[1:], a + "a", strings.ToUpper(a)} {
		require.False(t, Matches(hash, other))
	}
}

func TestNothingFitsWhatIsNoHash(t *testing.T) {
	words := strings.Split(Hash("secret"), "$")
	for _, hash := range []string{
		"", "$", "$$", "secret", "sha1$" + words[1] + "$" + words[2], scheme + "$$" + words[2], scheme + "$" + words[1] + "$", scheme + "$" + words[1],
		scheme + "$!$" + words[2], scheme + "$" + words[1] + "$!", Hash("secret") + "$", scheme + "$$" + encode(sum(nil, "secret")),
	} {
		require.False(t, Matches(hash, "secret"), hash)
		require.False(t, Matches(hash, ""), hash)
	}
}

func TestLettersAreAllEquallyLikely(t *testing.T) {
	const n = 26 * 4000
	text := Letters(n)
	require.True(t, IsLetters(text, n))
	for c := 'a'; c <= 'z'; c++ {
		// 4,000 are expected, with a deviation of 62; ten of them are never seen.
		require.InDelta(t, 4000, strings.Count(text, string(c)), 620, string(c))
	}
	require.False(t, IsLetters("abcD", 4))
	require.False(t, IsLetters("ab-d", 4))
	require.False(t, IsLetters("abc", 4))
}

func TestSecretsAreShownInGroups(t *testing.T) {
	require.Equal(t, "abcd-efgh-ij", Group("abcdefghij"))
	require.Equal(t, "abcd-efgh", Group("abcdefgh"))
	require.Empty(t, Group(""))
}
