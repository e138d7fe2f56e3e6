package mapping

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestR3412UserMapsHaveNamesAndEachServicePicksOne(t *testing.T) {
	maps := Maps{Default: Route{Host: "127.0.0.1", Port: 1200}}
	require.NoError(t, maps.Add("staff", table(t, "alice staff.example.test\n")))
	require.NoError(t, maps.Add("students", table(t, "alice students.example.test\n")))
	require.Equal(t, []string{"staff", "students"}, maps.Names())
	for _, name := range []string{"", "two words", " x", "x\t", "a\u00a0b", "a\x00", "staff"} {
		require.ErrorIs(t, maps.Add(name, Static(Route{Host: "a"})), ErrBadName, "%q", name)
	}
	for service, want := range map[string]string{"staff": "staff.example.test", "students": "students.example.test"} {
		m, err := maps.For(service)
		require.NoError(t, err)
		r, err := m.Map(t.Context(), "alice")
		require.NoError(t, err)
		require.Equal(t, want, r.Host)
		_, err = m.Map(t.Context(), "bob")
		require.ErrorIs(t, err, ErrNotMapped)
	}
	_, err := maps.For("Staff")
	require.ErrorIs(t, err, ErrBadName, "there is no such map, and no other one in its place")
}

func TestR3412UserMapNoneSetSendsEverybodyToOneBackEnd(t *testing.T) {
	m, err := (&Maps{Default: Route{Host: "127.0.0.1", Port: 1200}}).For("")
	require.NoError(t, err)
	for _, user := range []string{"alice", "bob@example.test"} {
		r, err := m.Map(t.Context(), user)
		require.NoError(t, err)
		require.Equal(t, Route{Host: "127.0.0.1", Port: 1200}, r)
	}
	_, err = new(Maps).For("")
	require.ErrorIs(t, err, ErrBadRoute)
}
