package lru

import (
	"container/list"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
)

func keys(m *Map[int, int]) []int {
	var all []int
	for k := range m.All() {
		all = append(all, k)
	}
	return all
}

func TestTheLongestUnusedMakesRoom(t *testing.T) {
	m := New[int, int](3)
	for i := range 3 {
		m.Put(i, 10*i)
	}
	v, ok := m.Get(0)
	require.True(t, ok)
	require.Equal(t, 0, v)
	m.Put(3, 30)
	require.Equal(t, []int{3, 0, 2}, keys(m))
	_, ok = m.Get(1)
	require.False(t, ok)
	m.RemoveIf(func(v int) bool { return v >= 20 })
	require.Equal(t, []int{0}, keys(m))
	m.Clear()
	require.Zero(t, m.Len())
	require.Empty(t, keys(m))
	m.Put(7, 7)
	require.Equal(t, []int{7}, keys(m))
}

func TestSlotsAreUsedAgain(t *testing.T) {
	m := New[int, int](10)
	for i := range 1000 {
		m.Put(i, i)
		if i%3 == 0 {
			m.Remove(i)
		}
	}
	require.LessOrEqual(t, len(m.slots), 11)
}

// TestTheMapIsAsASlowOneIs compares it, through random steps, with a list.
func TestTheMapIsAsASlowOneIs(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	m, slow := New[int, int](8), list.New()
	find := func(key int) *list.Element {
		for e := slow.Front(); e != nil; e = e.Next() {
			if e.Value == key {
				return e
			}
		}
		return nil
	}
	for range 20_000 {
		key := random.IntN(16)
		e := find(key)
		switch random.IntN(4) {
		case 0:
			m.Remove(key)
			if e != nil {
				slow.Remove(e)
			}
		case 1, 2:
			m.Put(key, key)
			if e != nil {
				slow.Remove(e)
			} else if slow.Len() == 8 {
				slow.Remove(slow.Back())
			}
			slow.PushFront(key)
		case 3:
			_, ok := m.Get(key)
			require.Equal(t, e != nil, ok)
			if ok {
				slow.MoveToFront(e)
			}
		}
		var want []int
		for e := slow.Front(); e != nil; e = e.Next() {
			want = append(want, e.Value.(int))
		}
		require.True(t, slices.Equal(want, keys(m)), "%v %v", want, keys(m))
		require.Equal(t, slow.Len(), m.Len())
	}
}

func TestOfALargeMapWhatIsUsedStays(t *testing.T) {
	const size = 4096
	m := New[int, int](size)
	for i := range 20 * size {
		m.Put(i, i)
		if i%(size/2) == 0 {
			_, ok := m.Get(0)
			require.True(t, ok, "after %d", i)
		}
	}
	require.Equal(t, size, m.Len())
	for k := range m.All() {
		require.True(t, k == 0 || k > 18*size, "%d", k)
	}
}
