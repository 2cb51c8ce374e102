//! What must hold for any bytes given to the object codec. Shared by the fuzz target and the unit tier's seeded run.

use iosmux_xpc::rsd::{Handshake, HandshakeView, Message};
use iosmux_xpc::{Dictionary, Limits, Object, View, json};

/// Gives true when `body` is one object.
pub(crate) fn object(body: &[u8]) -> bool {
    let limits = Limits::default();
    let view = View::parse(body, &limits);
    let object = match Object::decode(body, &limits) {
        Ok(object) => object,
        Err(error) => {
            assert_eq!(view.err().as_ref(), Some(&error), "view and owned form must refuse alike");
            assert!(HandshakeView::decode(body, &limits).is_err());
            return false;
        }
    };
    let view = view.expect("what the owned form accepts the view accepts");
    same(view, &object);

    let encoded = object.encode().expect("what was decoded can be encoded");
    assert_eq!(encoded.len(), body.len(), "only padding and the upper bytes of a bool may differ");
    let again = Object::decode(&encoded, &limits).expect("what was encoded can be decoded");
    assert_eq!(again, object);
    assert_eq!(again.encode().as_ref(), Ok(&encoded));
    assert_eq!(json::from_value(&json::to_value(&object)).as_ref(), Ok(&object));

    rsd(body, &object, &limits);
    true
}

/// Every value of the view, by iteration and by key, against the owned form.
fn same(view: View<'_>, object: &Object) {
    assert_eq!(view.kind(), object.kind());
    match (view, object) {
        (View::Array(values), Object::Array(objects)) => {
            assert_eq!((values.len(), values.iter().count()), (objects.len(), objects.len()));
            values.iter().zip(objects).for_each(|(value, object)| same(value, object));
        }
        (View::Dictionary(entries), Object::Dictionary(dictionary)) => same_entries(entries, dictionary),
        (View::FileTransfer { id, info }, Object::FileTransfer { id: owned_id, info: owned_info }) => {
            assert_eq!(id, *owned_id);
            same_entries(info, owned_info);
        }
        (view, object) => assert_eq!(&Object::from(view), object),
    }
}

fn same_entries(view: iosmux_xpc::object::DictionaryView<'_>, dictionary: &Dictionary) {
    assert_eq!((view.len(), view.iter().count()), (dictionary.len(), dictionary.len()));
    for ((key, value), (owned_key, object)) in view.iter().zip(dictionary.iter()) {
        assert_eq!(key, owned_key);
        same(value, object);
    }
    if let Some(key) = dictionary.keys().last() {
        same(view.get(key).expect("a key that is there"), dictionary.get(key).expect("a key that is there"));
    }
}

/// The three readings of a Handshake agree, and so do the readings of any RSD message.
fn rsd(body: &[u8], object: &Object, limits: &Limits) {
    let owned = Handshake::decode(body, limits);
    assert_eq!(owned, Handshake::from_object(object));
    assert_eq!(owned.as_ref().err(), HandshakeView::decode(body, limits).err().as_ref());
    if let Ok(handshake) = &owned {
        let encoded = handshake.encode().expect("what was decoded can be encoded");
        assert_eq!(encoded, handshake.to_object().encode().expect("the same content"));
        assert_eq!(Handshake::decode(&encoded, limits).as_ref(), Ok(handshake));
    }
    assert_eq!(Message::decode(body, limits), Message::from_object(object));
}
