//! The nicknames of new participants.

/// Nicknames. Their number and order are part of the model: to change them, change the version of the app.
#[rustfmt::skip]
pub const NICKNAMES: [&str; 131] = [
    "Amber", "Apricot", "Aspen", "Badger", "Balsam", "Barley", "Basil", "Beaver", "Birch",
    "Biscuit", "Bluebell", "Bracken", "Bramble", "Briar", "Brook", "Bumblebee", "Buttercup",
    "Cardamom", "Caraway", "Cedar", "Chestnut", "Chicory", "Cinnamon", "Clementine", "Clover",
    "Comet", "Coriander", "Cricket", "Cypress", "Daisy", "Dandelion", "Dormouse", "Dragonfly",
    "Elder", "Ember", "Falcon", "Fennel", "Fern", "Ferret", "Finch", "Firefly", "Foxglove",
    "Gazelle", "Ginger", "Hazel", "Heather", "Hedgehog", "Heron", "Honeybee", "Hummingbird",
    "Hyacinth", "Iris", "Ivy", "Jasmine", "Juniper", "Kestrel", "Kingfisher", "Lark", "Laurel",
    "Lavender", "Lemon", "Lichen", "Linden", "Lotus", "Lynx", "Magnolia", "Magpie", "Mallow",
    "Maple", "Marigold", "Marjoram", "Marten", "Meadow", "Mint", "Mistle", "Moss", "Muscat",
    "Myrtle", "Nectar", "Nettle", "Nightingale", "Nutmeg", "Olive", "Orchid", "Osprey", "Otter",
    "Owl", "Papaya", "Peony", "Peppermint", "Petal", "Pigeon", "Pine", "Plover", "Plum", "Poppy",
    "Primrose", "Puffin", "Quail", "Quince", "Raven", "Robin", "Rosemary", "Rowan", "Saffron",
    "Sage", "Sandpiper", "Sequoia", "Shrew", "Skylark", "Sorrel", "Sparrow", "Squirrel",
    "Starling", "Swallow", "Tamarind", "Tansy", "Teal", "Thistle", "Thrush", "Thyme", "Tulip",
    "Vanilla", "Verbena", "Violet", "Wagtail", "Walnut", "Willow", "Wren", "Yarrow", "Zinnia",
];
