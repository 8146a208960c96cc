//! `Few`: a list that mostly holds one, which then takes no memory beside itself.

use std::ops::{Deref, DerefMut};

/// A list that is read as a slice, and replaced when it changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Few<T> {
    /// One, in place.
    One(T),
    /// None, or several.
    Many(Box<[T]>),
}

impl<T> Few<T> {
    /// All of them.
    #[must_use]
    pub fn into_vec(self) -> Vec<T> {
        match self {
            Self::One(one) => vec![one],
            Self::Many(many) => many.into_vec(),
        }
    }
}

impl<T> Default for Few<T> {
    fn default() -> Self {
        Self::Many(Box::default())
    }
}

impl<T> Deref for Few<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        match self {
            Self::One(one) => std::slice::from_ref(one),
            Self::Many(many) => many,
        }
    }
}

impl<T> DerefMut for Few<T> {
    fn deref_mut(&mut self) -> &mut [T] {
        match self {
            Self::One(one) => std::slice::from_mut(one),
            Self::Many(many) => many,
        }
    }
}

impl<T> FromIterator<T> for Few<T> {
    fn from_iter<I: IntoIterator<Item = T>>(list: I) -> Self {
        Vec::from_iter(list).into()
    }
}

impl<T> From<Vec<T>> for Few<T> {
    fn from(list: Vec<T>) -> Self {
        match <[T; 1]>::try_from(list) {
            Ok([one]) => Self::One(one),
            Err(list) => Self::Many(list.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_the_list_that_it_was_made_of() {
        for list in [vec![], vec![1], vec![1, 2, 3]] {
            let few = Few::from(list.clone());
            assert_eq!(&*few, list);
            assert_eq!(matches!(few, Few::One(_)), list.len() == 1);
            assert_eq!(few.into_vec(), list);
        }
        assert!(Few::<u8>::default().is_empty());
    }

    /// What it is for: a pointer's worth of address beside its length.
    #[test]
    fn one_takes_no_more_room_than_a_boxed_list() {
        use std::net::Ipv4Addr;
        use std::sync::Arc;
        assert_eq!(size_of::<Few<Ipv4Addr>>(), size_of::<Box<[Ipv4Addr]>>());
        assert_eq!(size_of::<Few<Arc<u8>>>(), size_of::<Box<[Arc<u8>]>>());
    }
}
