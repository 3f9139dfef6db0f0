-- Runtime of the import: `profile` (rules, labels, schema) is generated above this text from the channel profile.
-- One row of `feature` per (object, matching rule); one row of `label` per (object, label key).

local feature = osm2pgsql.define_table({
  name = 'feature',
  schema = profile.schema,
  ids = { type = 'any', id_column = 'osm_id', type_column = 'osm_type' },
  columns = {
    { column = 'rule', sql_type = 'smallint', not_null = true },
    { column = 'geom', type = 'geometry', projection = 3857, not_null = true },
  },
  indexes = { { column = 'geom', method = 'gist' } },
})

local label = osm2pgsql.define_table({
  name = 'label',
  schema = profile.schema,
  ids = { type = 'any', id_column = 'osm_id', type_column = 'osm_type' },
  columns = {
    { column = 'key', type = 'text', not_null = true },
    { column = 'value', type = 'text', not_null = true },
    { column = 'name', type = 'text' },
    { column = 'tags', type = 'jsonb', not_null = true },
    { column = 'geom', type = 'point', projection = 3857, not_null = true },
  },
  indexes = { { column = 'geom', method = 'gist' } },
})

-- Closed ways with these keys are areas, but for the values listed (after openstreetmap-carto.lua, CC0).
-- With any other key (highway, barrier, railway=rail …) a closed way is a loop of line unless it has area=yes.
local function set(...)
  local result = {}
  for _, value in ipairs({ ... }) do result[value] = true end
  return result
end
local none = {}
local line_values_of_area_key = {
  aeroway = set('runway', 'taxiway', 'parking_position'),
  amenity = none, building = none, craft = none, healthcare = none, landuse = none,
  office = none, place = none, shop = none, tourism = none, water = none, wetland = none,
  historic = set('citywalls'),
  leisure = set('track', 'slipway'),
  man_made = set('breakwater', 'cutline', 'embankment', 'groyne', 'pipeline', 'pier'),
  natural = set('cliff', 'coastline', 'earth_bank', 'tree_row', 'ridge', 'arete'),
  power = set('cable', 'line', 'minor_line'),
  public_transport = none,
  waterway = set('canal', 'derelict_canal', 'ditch', 'drain', 'river', 'stream', 'tidal_channel', 'wadi', 'weir'),
}
local area_values_of_line_key = {
  highway = set('platform', 'rest_area', 'services'),
  railway = set('station', 'halt', 'platform', 'turntable'),
}

local function is_area(tags, key)
  if tags.area == 'yes' then return true end
  if tags.area == 'no' then return false end
  local value = tags[key]
  local lines = line_values_of_area_key[key]
  if lines then return not lines[value] end
  local areas = area_values_of_line_key[key]
  return areas ~= nil and areas[value] == true
end

local function fits(wanted, value)
  if value == nil then return false end
  if wanted == true then return value ~= 'no' end
  return wanted[value] == true
end

local function matches(rule, tags)
  for key, wanted in pairs(rule.match) do
    if not fits(wanted, tags[key]) then return false end
  end
  for key, wanted in pairs(rule.except) do
    if fits(wanted, tags[key]) then return false end
  end
  return true
end

-- Rules by the first key of their match: an object is tried only against rules of keys it has.
local rules_of_key = {}
for _, rule in ipairs(profile.rules) do
  rules_of_key[rule.key] = rules_of_key[rule.key] or {}
  table.insert(rules_of_key[rule.key], rule)
end

-- The importer counts these lines. An object is bare where the map holds none of its nodes, or none of its ways.
local function report_invalid(object)
  local lines = object.type == 'way' and object:as_linestring() or object.type == 'relation' and object:as_multilinestring()
  local kind = lines and lines:is_null() and 'bare' or 'invalid'
  print(string.format('loc2vec-%s %s %d', kind, object.type, object.id))
end

-- draw(rule) gives the geometry, nil where the rule is not for such an object, or a null geometry where it is invalid.
local function add_features(object, draw)
  local invalid = false
  for key in pairs(object.tags) do
    for _, rule in ipairs(rules_of_key[key] or none) do
      if matches(rule, object.tags) then
        local geom = draw(rule)
        if geom ~= nil then
          if geom:is_null() then invalid = true else feature:insert({ rule = rule.index, geom = geom }) end
        end
      end
    end
  end
  if invalid then report_invalid(object) end
end

local function add_labels(object, geom)
  for key, wanted in pairs(profile.labels) do
    if fits(wanted, object.tags[key]) then
      local point = geom()
      if point ~= nil and not point:is_null() then
        label:insert({ key = key, value = object.tags[key], name = object.tags.name, tags = object.tags, geom = point })
      end
    end
  end
end

function osm2pgsql.process_node(object)
  add_features(object, function(rule)
    if rule.geometry == 'point' then return object:as_point() end
  end)
  add_labels(object, function() return object:as_point() end)
end

function osm2pgsql.process_way(object)
  local closed = object.is_closed
  add_features(object, function(rule)
    local area = closed and is_area(object.tags, rule.key)
    if rule.geometry == 'polygon' and area then return object:as_polygon() end
    if rule.geometry == 'line' and (rule.members or not area) then return object:as_linestring() end
  end)
  add_labels(object, function()
    return closed and object:as_polygon():centroid() or object:as_linestring():centroid()
  end)
end

function osm2pgsql.process_relation(object)
  local kind = object.tags.type
  local area = kind == 'multipolygon' or kind == 'boundary'
  if not area and kind ~= 'route' then return end
  add_features(object, function(rule)
    if area and rule.geometry == 'polygon' then return object:as_multipolygon() end
    if rule.members and (area or rule.key == 'route') then
      local lines = object:as_multilinestring()
      -- An extract may hold a relation without any of its ways.
      if not lines:is_null() then return lines end
    end
  end)
  if area then add_labels(object, function() return object:as_multipolygon():centroid() end) end
end
