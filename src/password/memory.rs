//! The memory that Argon2 computes in, so taken that the system has it back afterwards.

use std::collections::TryReserveError;
use std::fmt;

use argon2::Block;

/// Blocks (of 1 KiB) to ask the allocator for at least. glibc maps an allocation of over 32 MiB by itself and unmaps it
/// when it is freed. Smaller ones it keeps once it has freed one (its threshold moves), and aligned as blocks are, they
/// pile up: 100 sign-ins, two at a time, left a process with 645 MB. What is not written to costs addresses, no memory.
const LEAST_CAPACITY: usize = 33 * 1024;

/// Blocks for one computation after the other; nothing until it is used.
#[derive(Default)]
pub(super) struct Memory(Vec<Block>);

impl Memory {
    /// So many blocks. What is in them does not matter: Argon2 writes before it reads.
    pub(super) fn blocks(&mut self, count: usize) -> Result<&mut [Block], TryReserveError> {
        let blocks = &mut self.0;
        if blocks.len() < count {
            blocks.try_reserve_exact(count.max(LEAST_CAPACITY) - blocks.len())?;
            blocks.resize(count, Block::new());
        }
        Ok(blocks)
    }

    /// How many there are already.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }
}

impl fmt::Debug for Memory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Memory({} KiB)", self.0.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_large_enough_to_be_given_back_and_grows_where_it_must() {
        let mut memory = Memory::default();
        assert_eq!(memory.0.capacity(), 0);
        let place = memory.blocks(8).unwrap().as_ptr();
        assert!(memory.len() == 8 && memory.0.capacity() >= LEAST_CAPACITY);
        assert_eq!(memory.blocks(512).unwrap().as_ptr(), place, "within what was asked for");
        memory.blocks(8).unwrap();
        assert_eq!(memory.len(), 512, "a smaller one has room enough");
        assert_eq!(memory.blocks(LEAST_CAPACITY + 1).unwrap().len(), LEAST_CAPACITY + 1);
    }
}
