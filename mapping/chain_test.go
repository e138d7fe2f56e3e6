package mapping

import (
	"context"
	"errors"
	"testing"

	"github.com/stretchr/testify/require"
)

// down is a source that can't be asked.
var down = MapperFunc(func(context.Context, string) (Route, error) {
	return Route{}, errors.New("connection refused")
})

// both is a source that can't make up its mind.
var both = MapperFunc(func(context.Context, string) (Route, error) {
	return Route{}, errors.Join(ErrNotMapped, ErrUnavailable)
})

func TestTheFirstInAChainThatKnowsDecides(t *testing.T) {
	one, two := table(t, "alice one\n"), table(t, "alice two\nbob two\n")
	for user, want := range map[string]string{"alice": "one", "bob": "two"} {
		r, err := Chain(one, two, Static(Route{Host: "three"})).Map(t.Context(), user)
		require.NoError(t, err)
		require.Equal(t, want, r.Host)
	}
	_, err := Chain(one, two).Map(t.Context(), "carol")
	require.ErrorIs(t, err, ErrNotMapped)
	_, err = Chain().Map(t.Context(), "carol")
	require.ErrorIs(t, err, ErrUnavailable)
	require.NotErrorIs(t, err, ErrNotMapped)
}

func TestALinkThatIsDownIsNeverSkipped(t *testing.T) {
	one, two := table(t, "alice one\n"), table(t, "bob two\n")
	for _, broken := range []Mapper{down, both} {
		for _, c := range []Mapper{Chain(one, broken, two), Chain(one, two, broken), Chain(broken, one, two)} {
			r, err := c.Map(t.Context(), "carol")
			require.Zero(t, r)
			require.ErrorIs(t, err, ErrUnavailable)
			require.NotErrorIs(t, err, ErrNotMapped)
		}
		r, err := Chain(one, broken).Map(t.Context(), "alice")
		require.NoError(t, err, "a link before it knew")
		require.Equal(t, "one", r.Host)
		_, err = Chain(one, broken, two).Map(t.Context(), "bob")
		require.ErrorIs(t, err, ErrUnavailable)
	}
}

func TestTheDefaultHostIsForNamesThatAreAllowed(t *testing.T) {
	known := table(t, "alice@example.test one\n")
	m := Default(known, Route{Host: "default"}, InDomains("Example.TEST", "münchen.example"))
	for user, want := range map[string]string{
		"alice@example.test": "one", "bob@example.test": "default", "BOB@EXAMPLE.TEST": "default", "x@xn--mnchen-3ya.example": "default",
		"bob@example.net": "", "bob": "", "example.test": "", "bob@sub.example.test": "", "a\x00@example.test": "",
	} {
		r, err := m.Map(t.Context(), user)
		require.Equal(t, want, r.Host, user)
		if want == "" {
			require.ErrorIs(t, err, ErrNotMapped, user)
		}
	}
	r, err := Default(known, Route{Host: "default"}, Everybody).Map(t.Context(), "bob")
	require.NoError(t, err)
	require.Equal(t, "default", r.Host)
	_, err = Default(known, Route{Host: "default"}, nil).Map(t.Context(), "bob")
	require.ErrorIs(t, err, ErrNotMapped)
}

func TestA05P5AnOutageIsNeverTheDefaultHost(t *testing.T) {
	for _, broken := range []Mapper{down, both} {
		r, err := Default(broken, Route{Host: "default"}, Everybody).Map(t.Context(), "alice")
		require.Zero(t, r)
		require.ErrorIs(t, err, ErrUnavailable)
		require.NotErrorIs(t, err, ErrNotMapped)
	}
}
