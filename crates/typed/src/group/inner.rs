//! From the group's bytes to values, and the handling of bytes that cannot be decoded.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use bytes::Bytes;
use gaggle_group::{Answer, Removal};

use super::{Inner, OnMismatch};
use crate::reloads::Turn;
use crate::{Codec, TypedAnswer, TypedError};

impl<V: Send + Sync + 'static, C: Codec<V>> Inner<V, C> {
    pub(super) async fn lookup(&self, key: &[u8]) -> Result<TypedAnswer<V>, TypedError> {
        let answer = self.group.lookup(key).await?;
        match self.decode(key, answer) {
            Err(mismatch) if self.on_mismatch == OnMismatch::Reload => {
                if self.clear(&[key]).await.contains(&false) {
                    return Err(mismatch);
                }
                let again = self.group.lookup(key).await?;
                self.decode(key, again).map_err(TypedError::reloaded)
            }
            decoded => decoded,
        }
    }

    pub(super) async fn lookup_many(
        &self,
        keys: &[impl AsRef<[u8]>],
    ) -> Vec<Result<TypedAnswer<V>, TypedError>> {
        let answers = self.group.get_many(keys).await;
        let mut decoded: Vec<_> = keys
            .iter()
            .zip(answers)
            .map(|(key, answer)| self.decode(key.as_ref(), answer?))
            .collect();
        if self.on_mismatch == OnMismatch::Reload {
            self.reload(keys, &mut decoded).await;
        }
        decoded
    }

    /// Looks up once more the keys whose values could not be decoded.
    async fn reload(
        &self,
        keys: &[impl AsRef<[u8]>],
        decoded: &mut [Result<TypedAnswer<V>, TypedError>],
    ) {
        let mismatches = decoded.iter().zip(keys).enumerate();
        let (mut at, again): (Vec<usize>, Vec<&[u8]>) = mismatches
            .filter(|(_, (answer, _))| matches!(answer, Err(TypedError::Decode { .. })))
            .map(|(number, (_, key))| (number, key.as_ref()))
            .unzip();
        if at.is_empty() {
            return;
        }
        let mut cleared = self.clear(&again).await.into_iter();
        at.retain(|_| cleared.next() == Some(true));
        let again: Vec<&[u8]> = at.iter().map(|number| keys[*number].as_ref()).collect();
        let answers = self.group.get_many(&again).await;
        for ((number, key), answer) in at.into_iter().zip(again).zip(answers) {
            decoded[number] = answer
                .map_err(TypedError::from)
                .and_then(|answer| self.decode(key, answer).map_err(TypedError::reloaded));
        }
    }

    /// Removes the keys that this caller has to remove, and waits for those that other callers
    /// remove. Returns for each key whether it should be looked up again.
    async fn clear(&self, keys: &[&[u8]]) -> Vec<bool> {
        let (mut mine, mut removing, mut others) = (Vec::new(), Vec::new(), Vec::new());
        let mut cleared = Vec::with_capacity(keys.len());
        for key in keys {
            let turn = self.reloads.turn(key);
            cleared.push(!matches!(turn, Turn::Leave));
            match turn {
                Turn::Remove(turn) => {
                    mine.push(*key);
                    removing.push(turn);
                }
                Turn::Wait(done) => others.push(done),
                Turn::Leave => {}
            }
        }
        if !mine.is_empty() {
            self.reloaded.fetch_add(mine.len() as u64, Relaxed);
            // If a node was not reached, the second lookup shows whether that matters.
            let _ = self.remove_many(&mine).await;
        }
        drop(removing);
        for mut done in others {
            // Nothing is ever sent: the error is the end of the removal, which has a deadline.
            let _ = done.changed().await;
        }
        cleared
    }

    pub(super) fn decode(&self, key: &[u8], answer: Answer) -> Result<TypedAnswer<V>, TypedError> {
        let is_hit = answer.source.is_hit();
        let value = match &answer.value {
            Some(bytes) => Some(self.value_of(key, bytes, is_hit)?),
            None => None,
        };
        Ok(TypedAnswer {
            value,
            freshness: answer.freshness,
            metadata: answer.metadata,
            source: answer.source,
            collapsed: answer.collapsed,
            failed_over: answer.failed_over,
        })
    }

    /// Keeps values that hits decode: a value that is requested only once is not kept.
    fn value_of(&self, key: &[u8], bytes: &Bytes, is_hit: bool) -> Result<Arc<V>, TypedError> {
        let kept = self.kept.as_ref();
        if let Some(value) = kept.and_then(|kept| kept.get(key, bytes)) {
            return Ok(value);
        }
        self.decoded.fetch_add(1, Relaxed);
        let decoded = self.codec.decode(bytes);
        let value = Arc::new(decoded.map_err(|source| TypedError::Decode {
            group: Arc::clone(self.group.name()),
            codec: self.codec.name(),
            key_len: key.len(),
            value_len: bytes.len(),
            reloaded: false,
            source: Arc::new(source),
        })?);
        if let Some(kept) = kept.filter(|_| is_hit) {
            kept.keep(key, bytes, &value);
        }
        Ok(value)
    }

    pub(super) fn encode(&self, key: &[u8], value: &V) -> Result<Bytes, TypedError> {
        self.codec
            .encode(value)
            .map_err(|source| TypedError::Encode {
                group: Arc::clone(self.group.name()),
                codec: self.codec.name(),
                key_len: key.len(),
                source: Arc::new(source),
            })
    }

    pub(super) async fn remove_many(&self, keys: &[impl AsRef<[u8]>]) -> Removal {
        if let Some(kept) = &self.kept {
            for key in keys {
                kept.remove(key.as_ref());
            }
        }
        self.group.remove_many(keys).await
    }
}
